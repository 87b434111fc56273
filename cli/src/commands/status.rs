//! How things stand: with whom in sync, and whether the stores are sound.

use rejoin::{Multiaddr, Node, Peer, Space, Status};
use serde_json::{Value, json};

use super::Answer;
use crate::failure::{DAMAGED, Failure};

pub(super) fn status(node: &Node, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let spaces = node.spaces().iter().map(space).collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<String> = node.addresses().iter().map(ToString::to_string).collect();
    let quarantined: Vec<String> = node.quarantined().iter().map(|file| file.display().to_string()).collect();
    let unusable: Vec<Value> = node
        .unusable()
        .into_iter()
        .map(|(id, why)| json!({ "id": id.to_string(), "error": why.to_string() }))
        .collect();
    answer.say(json!({
        "id": node.id().to_string(), "addresses": addresses, "spaces": spaces, "unusable": unusable,
        "quarantined": quarantined,
    }));
    Ok(())
}

fn space(space: &Space) -> Result<Value, Failure> {
    let Status { space: id, root, rows, staged, replicas, unsynced, stats, gossip_in, peers } =
        space.status()?;
    Ok(json!({
        "name": space.name(),
        "id": id.to_string(),
        "left": space.is_left()?,
        "root": root.to_string(),
        "rows": rows,
        "staged": staged,
        "replicas": replicas,
        "unsynced": unsynced,
        "gossip_in": gossip_in,
        "gossip_out": stats.gossip_out,
        "gossip_duplicates": stats.gossip_duplicates,
        "repaired_by_sync": stats.deltas_from_sync,
        "bulk_started": stats.bulk_started,
        "bulk_committed": stats.bulk_committed,
        "forks": stats.forks,
        "peers": peers.iter().map(peer).collect::<Vec<_>>(),
    }))
}

/// Who is here; with what to say of this device first.
pub(super) fn here(
    node: &Node,
    name: &str,
    set: Option<&str>,
    clear: bool,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let presence = super::space(node, name)?.presence::<Value>();
    if let Some(word) = set {
        presence.set(&super::value(word))?;
    }
    if clear {
        presence.clear()?;
    }
    let others = presence.others()?.into_iter().map(|here| {
        let seconds = here.age.as_millis() as f64 / 1000.0;
        json!({ "device": here.device.to_string(), "value": here.value, "seconds": seconds })
    });
    answer.say(others.collect());
    Ok(())
}

fn peer(peer: &Peer) -> Value {
    json!({
        "peer": peer.peer.to_string(),
        "addr": peer.address.as_ref().map(ToString::to_string),
        "connected": peer.online,
        "in_sync": peer.in_sync,
        "proven_at": peer.proven_at,
        "behind": peer.behind,
    })
}

pub(super) fn peers(node: &Node, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let mut all = Vec::new();
    for space in node.spaces() {
        for mut described in space.status()?.peers.iter().map(peer) {
            described["space"] = space.name().into();
            all.push(described);
        }
    }
    answer.say(all.into());
    Ok(())
}

pub(super) async fn sync(
    node: &Node,
    space: &str,
    address: &Multiaddr,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let report = node.sync(&super::space(node, space)?, address).await?;
    answer.say(json!({
        "bytes": report.bytes,
        "round_trips": report.round_trips,
        "proof_round_trips": report.proof_round_trips,
        "rows_in": report.rows_in,
        "rows_out": report.rows_out,
        "root": report.root.to_string(),
    }));
    Ok(())
}

pub(super) async fn verify(node: &Node, space: Option<&str>, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let mut found = Vec::new();
    let spaces = match space {
        Some(space) => vec![super::space(node, space)?],
        None => {
            for (id, why) in node.unusable() {
                // One of a newer version, say, is no damage.
                answer.bad_news(Failure::from(why.as_ref()).code);
                found.push(
                    json!({ "name": null, "id": id.to_string(), "sound": false, "error": why.to_string() }),
                );
            }
            node.spaces()
        }
    };
    for space in spaces {
        let outcome = space.verify().await;
        let (id, sound) = (space.id().to_string(), outcome.is_ok());
        if !sound {
            answer.bad_news(DAMAGED);
        }
        let error = outcome.err().map(|error| error.to_string());
        found.push(json!({ "name": space.name(), "id": id, "sound": sound, "error": error }));
    }
    answer.say(found.into());
    Ok(())
}
