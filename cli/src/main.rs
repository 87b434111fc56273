//! The rejoin command: a node to run, and everything a person does with one.
//!
//! Every command works with and without a running node: while `serve` runs on a data directory the others go through its
//! socket, otherwise they open the directory themselves. Standard output is data, standard error is talk.
//!
//! | module | what it holds |
//! |---|---|
//! | [`arguments`] | the words of the command line |
//! | [`commands`] | what each command does to a node, as JSON values |
//! | [`render`] | the same for people |
//! | [`socket`] | commands through a running node |
//! | [`serve`] | the running node |
//! | [`failure`] | exit codes |
//! | [`demo`] | the main job on real input, with nodes of its own |

mod arguments;
mod commands;
mod demo;
mod failure;
mod render;
mod serve;
mod socket;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use arguments::{Arguments, Command};
use commands::{Answer, Request, Show};
use failure::Failure;
use rejoin::Node;
use rejoin::net::store::panics_are_caught;

/// How often, and how far apart, a data directory that another command holds is tried again.
const PATIENCE: usize = 40;
const PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // What damaged pages do to the store comes out as an error in words.
        if !panics_are_caught() {
            print(panic);
        }
    }));
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::other(format!("no threads: {error}")).report(),
    };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { data, json, request } = arguments;
    if let Command::Demo(options) = request.command {
        let outcome = demo::run(demo::Options { json, ..options }).await;
        return outcome.map_err(|error| Failure::other(format!("the demo failed: {error:#}")));
    }
    let data = data.map_or_else(arguments::default_directory, Ok)?;
    if let Command::Serve(options) = request.command {
        // What a short command holds is free again in a moment; what a running node holds is not.
        for _ in 0..PATIENCE {
            match serve::run(&data, &options).await {
                Err(failure) if failure.is_locked() && !socket::answers(&data).await => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome.map(|()| ExitCode::SUCCESS),
            }
        }
        return serve::run(&data, &options).await.map(|()| ExitCode::SUCCESS);
    }
    let request = Request::read(request)?;
    let render = render::of(&request.arguments.command, json);
    let tells_progress = request.arguments.command.tells_progress();
    let mut show = move |value: serde_json::Value| match value.get("progress") {
        Some(percent) if tells_progress => {
            render::progress(percent);
            true
        }
        _ => render.show(&value),
    };
    if let Some(file) = request.arguments.command.backup_to_verify() {
        let mut answer = Answer::new(&mut show);
        commands::backup::verify(file, &mut answer).await?;
        return Ok(answer.code());
    }
    for _ in 0..PATIENCE {
        match ask(&data, &request, &mut show).await {
            Err(failure) if failure.is_locked() => tokio::time::sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
    ask(&data, &request, &mut show).await
}

/// Asks the node that runs on a data directory, or does it here when none does.
async fn ask(data: &std::path::Path, request: &Request, show: &mut Show) -> Result<ExitCode, Failure> {
    match socket::ask(data, request, show).await? {
        Some(answered) => Ok(answered),
        None => on_own_node(data, request, show).await,
    }
}

/// Opens the data directory, does what is asked, and lets go of it.
async fn on_own_node(
    data: &std::path::Path,
    request: &Request,
    show: &mut Show,
) -> Result<ExitCode, Failure> {
    // A sync tells what it took: nothing may move beside it.
    let alone = matches!(request.arguments.command, Command::Sync { .. });
    // Only a running node gets back what is set aside.
    let mut builder = Node::builder(data).mdns(false).listen([]).known_peers(!alone).quarantine(false);
    if !request.arguments.command.needs_network() {
        builder = builder.offline(true);
    }
    let node = arguments::tuned(builder).open().await?;
    let unusable = node.unusable();
    let mut answer = Answer::new(show);
    let command = commands::run(&node, request, &mut answer);
    let outcome = match request.arguments.command.is_long() {
        true => serve::beside(data, &node, command).await,
        false => command.await,
    };
    let spaces = node.spaces();
    let closed = node.close().await;
    outcome?;
    // What a restore gives up it has said itself.
    if !matches!(request.arguments.command, Command::Restore { .. }) {
        serve::incidents(&spaces).iter().for_each(|words| failure::talk(words));
    }
    for (space, why) in unusable {
        failure::talk(&format!("the space {space} cannot be used: {why}"));
    }
    closed?;
    Ok(answer.code())
}
