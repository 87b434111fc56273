//! The acts of the demo, in order: load, edit together, edit apart while one is cut off and one is killed, rejoin.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Options;
use super::board::{rounded, short};
use super::control::{Control, Failed};
use super::hands::{Plan, SPACE};
use super::stage::{A, B, C, NAMES, Stage};
use super::workload::{AIRPORTS, Hand, Share};

/// Hands of a side: each waits for its answers, so several keep the disk of a node busy.
const HANDS: u64 = 3;
/// Edits of one line of the record while the data set is loaded.
const LOAD_UNIT: usize = 500;
/// The map in which each side says that it was there, to prove that a cut was one.
const MARKS: &str = "marks";
/// How long the killed node stays down.
const DOWN: Duration = Duration::from_millis(800);
/// How long the cut-off node may take to reach somebody again.
const REACH_TIME: Duration = Duration::from_secs(20);
/// How long nodes that hold the same may take to say so of each other.
const PROOF_TIME: Duration = Duration::from_secs(5);
const REACH_PAUSE: Duration = Duration::from_millis(200);

/// Numbers of the phases, as the record has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Load,
    Together,
    Apart,
}

/// What coming together took.
#[derive(Clone, Debug)]
pub(super) struct Rejoined {
    pub(super) root: String,
    /// From the moment the wire was whole until all three named one root.
    pub(super) seconds: f64,
    /// Through the forwarders in that time, both ways, with everything that connections cost.
    pub(super) bytes: u64,
    /// What the cut-off node said of the sync that was asked for at that moment.
    pub(super) sync: Value,
    /// From the same moment until every node said of every other that both named this root; `None` if some did not.
    pub(super) proven: Option<f64>,
}

/// Every node imports a third of the data set, and all come to hold all of it.
pub(super) async fn load(stage: &Stage) -> Result<()> {
    let all = stage.airports.len();
    stage.board.phase(&format!("three nodes load {all} airports, a third each, and sync"));
    stage.board.states("loading");
    let watch = async {
        loop {
            let rows = stage.status(A).await?["rows"].as_u64().unwrap_or_default();
            stage.board.progress(rows, all as u64, "rows at A");
            if rows >= all as u64 {
                return anyhow::Ok(());
            }
            sleep(REACH_PAUSE).await;
        }
    };
    let imports = try_join_all((0..NAMES.len()).map(|node| import(stage, node)));
    let bounded = tokio::time::timeout(REACH_TIME * 2, watch);
    let (imported, watched) = tokio::join!(imports, bounded);
    imported?;
    watched.context("the data set did not reach node A in time")??;
    let root = stage.settle(&[A, B, C]).await?;
    stage.board.states("in sync");
    let words = format!("{all} rows on each of three nodes, root {}", short(&root));
    stage.board.done(&words, json!({ "phase": "load", "rows": all, "root": root }));
    Ok(())
}

async fn import(stage: &Stage, node: usize) -> Result<()> {
    let rows =
        stage.airports.chunks(stage.airports.len().div_ceil(NAMES.len())).nth(node).unwrap_or_default();
    let (mut lines, mut units) = (String::new(), Vec::new());
    for rows in rows.chunks(LOAD_UNIT) {
        let edit =
            |row: &super::data::Airport| json!({ "map": AIRPORTS, "put": row.key, "value": row.value });
        let edits: Vec<Value> = rows.iter().map(edit).collect();
        units.push(stage.journals[node].begin(Phase::Load as u64, &edits)?);
        for row in rows {
            lines.push_str(&format!("{}\n", json!({ "key": row.key, "value": row.value })));
        }
    }
    let mut control = Control::connect(&stage.nodes[node].data).await?;
    control.ask(&["import", &format!("{SPACE}/{AIRPORTS}"), "-"], Some(&lines)).await?;
    stage.board.wrote(node, rows.len());
    units.into_iter().try_for_each(|unit| stage.journals[node].answered(unit))
}

/// All edit, connected, each its own rows: from here on there is something to remove, to put back and to replace.
pub(super) async fn together(stage: &Stage, options: &Options) -> Result<()> {
    stage.board.phase("all edit while connected, each its own rows");
    stage.board.states("editing");
    let plan = plan(Phase::Together, options.seconds / 3.0, options);
    let share = |node: usize, hand: u64| Share { rest: node as u64 * HANDS + hand, of: 3 * HANDS };
    let before = stage.board.writes();
    try_join_all(
        (0..NAMES.len()).map(|node| edit(stage, options, node, plan, move |hand| share(node, hand))),
    )
    .await?;
    let root = stage.settle(&[A, B, C]).await?;
    stage.board.states("in sync");
    let edits = stage.board.writes() - before;
    stage.board.done(
        &format!("{edits} edits, root {}", short(&root)),
        json!({ "phase": "together", "edits": edits, "root": root }),
    );
    Ok(())
}

/// C is cut off and keeps running; A and B on one side and C on the other edit the same rows; B is killed and restarted.
pub(super) async fn apart(stage: &Stage, options: &Options) -> Result<()> {
    stage
        .board
        .phase("C is cut off and keeps running; both sides edit the same rows; B is killed and restarted");
    stage.wires.cut();
    stage.board.states("editing");
    stage.board.state(C, "cut off");
    let (before, dropped) = (stage.board.writes(), stage.wires.dropped());
    for (node, name) in NAMES.iter().enumerate() {
        let mark = json!({ "map": MARKS, "put": name, "value": "was here" });
        stage.side(node).once(Phase::Apart as u64, &[mark]).await?;
    }
    let plan = plan(Phase::Apart, options.seconds, options);
    // A and B share the rows among them; C takes any.
    let near = |node: usize| move |hand: u64| Share { rest: 2 * hand + node as u64, of: 2 * HANDS };
    let far = |hand: u64| Share { rest: hand, of: HANDS };
    tokio::try_join!(
        edit(stage, options, A, plan, near(A)),
        edit(stage, options, B, plan, near(B)),
        edit(stage, options, C, plan, far),
        kill_and_restart(stage, options),
    )?;
    stage.board.state(A, "waiting");
    stage.board.state(B, "waiting");
    let root = stage.settle(&[A, B]).await?;
    let cut_off = stage.status(C).await?["root"].as_str().unwrap_or_default().to_owned();
    prove_the_cut(stage).await?;
    ensure!(cut_off != root, "both sides of the cut hold the same: nothing was edited");
    let (edits, dropped) = (stage.board.writes() - before, stage.wires.dropped() - dropped);
    let words = format!(
        "{edits} edits; A and B hold {}, C holds {}; {dropped} bytes were dropped on the way",
        short(&root),
        short(&cut_off)
    );
    let value = json!({
        "phase": "apart", "edits": edits, "root": root, "root_cut_off": cut_off, "bytes_dropped": dropped,
    });
    stage.board.done(&words, value);
    Ok(())
}

/// Lets the hands of a side work, each on its share.
async fn edit(
    stage: &Stage,
    options: &Options,
    node: usize,
    plan: Plan,
    share: impl Fn(u64) -> Share,
) -> Result<()> {
    let side = stage.side(node);
    let hands = (0..HANDS).map(|hand| {
        let name = format!("{}{hand}-{}", NAMES[node], plan.phase);
        let seed = options.seed.wrapping_mul(1009) + plan.phase * 97 + node as u64 * 13 + hand;
        side.work(Hand::new(name, seed, &stage.airports, share(hand)), plan)
    });
    try_join_all(hands).await.with_context(|| format!("side {} cannot go on", NAMES[node]))?;
    Ok(())
}

fn plan(phase: Phase, seconds: f64, options: &Options) -> Plan {
    let until = Instant::now() + Duration::from_secs_f64(seconds.clamp(0.1, 600.0));
    Plan { phase: phase as u64, until, units: options.edits.div_ceil(HANDS).max(1) }
}

async fn kill_and_restart(stage: &Stage, options: &Options) -> Result<()> {
    sleep(Duration::from_secs_f64((options.seconds * 0.4).clamp(0.04, 240.0))).await;
    // Before the signal: from now on its side may miss answers.
    stage.is_killed.store(true, Ordering::SeqCst);
    stage.nodes[B].kill().await?;
    stage.board.state(B, "killed");
    sleep(DOWN).await;
    stage.board.state(B, "restarting");
    stage.start_again().await?;
    // Proves that it answers; its side connects by itself.
    stage.status(B).await?;
    stage.board.state(B, "editing");
    Ok(())
}

/// Neither side may have heard of the other, or the record would be judged by the wrong rules.
async fn prove_the_cut(stage: &Stage) -> Result<()> {
    for (node, others) in [(A, &[NAMES[C]][..]), (B, &[NAMES[C]]), (C, &[NAMES[A], NAMES[B]])] {
        let marks = stage.export(node, &format!("{SPACE}/{MARKS}")).await?;
        for other in others {
            ensure!(
                marks.get(other).is_none(),
                "the cut leaks: node {} has heard of {other} around the forwarders",
                NAMES[node]
            );
        }
    }
    let status = stage.status(C).await?;
    let peers = status["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(
        peers.iter().all(|peer| peer["in_sync"] != true),
        "node C claims to be in sync while it is cut off"
    );
    Ok(())
}

/// The wire is mended, and everybody holds the same again.
pub(super) async fn rejoin(stage: &Stage) -> Result<Rejoined> {
    stage.board.phase("the wire is mended: all rejoin");
    stage.board.states("rejoining");
    let (before, began) = (stage.wires.forwarded(), Instant::now());
    stage.wires.heal();
    let sync = sync(stage, C, &stage.through_to(A)).await?;
    let root = stage.settle(&[A, B, C]).await?;
    let seconds = began.elapsed().as_secs_f64();
    let bytes = stage.wires.forwarded() - before;
    let proven = prove(stage).await?.then(|| began.elapsed().as_secs_f64());
    stage.board.states("in sync");
    let words = format!("{seconds:.1} s, {bytes} bytes, root {} on all three", short(&root));
    let value = json!({
        "phase": "rejoin", "seconds": rounded(seconds), "bytes": bytes, "root": root, "sync": sync,
        "proven_seconds": proven.map(rounded),
    });
    stage.board.done(&words, value);
    Ok(Rejoined { root, seconds, bytes, sync, proven })
}

/// Has the other two pairs compare roots now: by themselves they would at the next round of anti-entropy. Whether then
/// every node says of every other that they are in sync.
async fn prove(stage: &Stage) -> Result<bool> {
    sync(stage, B, &stage.nodes[A].address()).await?;
    sync(stage, C, &stage.through_to(B)).await?;
    let end = Instant::now() + PROOF_TIME;
    loop {
        let mut all = true;
        for node in [A, B, C] {
            let status = stage.status(node).await?;
            stage.board.sample(node, &status);
            let peers = status["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
            all &= peers.len() >= 2 && peers.iter().all(|peer| peer["in_sync"] == true);
        }
        if all || Instant::now() > end {
            return Ok(all);
        }
        sleep(REACH_PAUSE).await;
    }
}

/// Has a node sync with the one at an address, as soon as it reaches it.
async fn sync(stage: &Stage, node: usize, address: &str) -> Result<Value> {
    let mut control = Control::connect(&stage.nodes[node].data).await?;
    let end = Instant::now() + REACH_TIME;
    loop {
        match control.ask(&["sync", SPACE, address], None).await {
            Ok(values) => return values.into_iter().next().context("`rejoin sync` printed nothing"),
            // The connection from before the cut may not have been noticed to be dead.
            Err(Failed::Refused(_)) if Instant::now() < end => sleep(REACH_PAUSE).await,
            Err(failed) => bail!("{:#}{}", anyhow::Error::from(failed), stage.nodes[node].last_words()),
        }
    }
}
