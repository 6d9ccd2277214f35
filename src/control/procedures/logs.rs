//! `logs`: an app's output, from the keeper's files, and on as it grows.

use std::collections::VecDeque;
use std::sync::Arc;

use super::NodeContext;
use super::streams::send;
use crate::control::server::Items;
use crate::names::AppName;
use crate::rpc::procedures::{LogLine, LogsRequest};
use crate::rpc::{RpcError, RpcErrorCode};
use crate::runtime::logs::{self, AppLog, LogFollower, LogQuery, RunChoice};

/// Lines that wait for a client that reads slowly; the reader of the files waits then.
const LINES_WAITING_MAX: usize = 256;
/// So many of the lines that were read are compared with what a follower brings first.
const OVERLAP_LINES_MAX: usize = 1_000;
/// So many lines are an app's last words.
const LAST_WORDS: usize = 10;

/// An app's output, oldest line first.
pub(crate) async fn stream(
    node: &Arc<NodeContext>,
    request: LogsRequest,
    items: Items,
) -> Result<(), RpcError> {
    let name = app_with_logs(node, &request.app)?;
    let log = AppLog::new(&node.settings.data_dir, &name);
    // The follower begins before the reading does: what comes in between is seen twice rather than not at all.
    let follower = if request.follow {
        Some(log.follow().map_err(|error| unreadable(&name, &error))?)
    } else {
        None
    };
    let run = if request.previous {
        RunChoice::Before(current_run(node, &name))
    } else {
        RunChoice::All
    };
    let query = LogQuery {
        tail: request.tail,
        since_ms: request.since_ms,
        run,
    };
    let last = read(&name, log, query, &items).await?;
    match (follower, last) {
        (Some(follower), Some(last)) => follow(&name, follower, last, &items).await,
        _ => Ok(()),
    }
}

/// The last lines of an app's newest run that said anything.
pub(crate) fn last_words(node: &NodeContext, name: &AppName) -> Vec<LogLine> {
    let log = AppLog::new(&node.settings.data_dir, name);
    let query = LogQuery {
        tail: Some(LAST_WORDS),
        ..LogQuery::default()
    };
    let lines = log
        .read(&query)
        .map(|lines| lines.map_while(Result::ok).map(told).collect());
    lines.unwrap_or_default()
}

/// The app, also one that is gone but whose logs are still kept.
fn app_with_logs(node: &NodeContext, text: &str) -> Result<AppName, RpcError> {
    let known = node.app(text);
    let kept = text.parse().ok().filter(|name: &AppName| {
        node.settings
            .data_dir
            .join("apps")
            .join(name.as_str())
            .join("logs")
            .is_dir()
    });
    known.or_else(|error| kept.ok_or(error))
}

fn current_run(node: &NodeContext, name: &AppName) -> Option<crate::names::InstanceId> {
    let posted = node.board.posted(name)?;
    posted.state.os_pid?;
    posted.record.instance.clone()
}

/// Sends the lines that are there, and answers with the last of them; none: the client is gone.
async fn read(
    name: &AppName,
    log: AppLog,
    query: LogQuery,
    items: &Items,
) -> Result<Option<VecDeque<LogLine>>, RpcError> {
    let (lines, mut taken) = tokio::sync::mpsc::channel(LINES_WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        let read = match log.read(&query) {
            Ok(read) => read,
            Err(error) => return drop(lines.blocking_send(Err(error))),
        };
        for line in read {
            if lines.blocking_send(line.map(told)).is_err() {
                return;
            }
        }
    });
    let mut last = VecDeque::new();
    while let Some(line) = taken.recv().await {
        let line = line.map_err(|error| unreadable(name, &error))?;
        if !send(items, &line).await? {
            return Ok(None);
        }
        if last.len() == OVERLAP_LINES_MAX {
            last.pop_front();
        }
        last.push_back(line);
    }
    Ok(Some(last))
}

async fn follow(
    name: &AppName,
    mut follower: LogFollower,
    last: VecDeque<LogLine>,
    items: &Items,
) -> Result<(), RpcError> {
    let mut last = Some(last);
    loop {
        let lines = tokio::select! {
            lines = follower.next() => lines.map_err(|error| unreadable(name, &error))?,
            () = items.closed() => return Ok(()),
        };
        let lines: Vec<LogLine> = lines.into_iter().map(told).collect();
        let seen = last.take().map_or(0, |last| overlap(&last, &lines));
        for line in lines.into_iter().skip(seen) {
            if !send(items, &line).await? {
                return Ok(());
            }
        }
    }
}

/// How many of the first `lines` are the last ones that were read.
fn overlap(read: &VecDeque<LogLine>, lines: &[LogLine]) -> usize {
    let longest = read.len().min(lines.len());
    let is_overlap = |count: &usize| read.iter().skip(read.len() - count).eq(lines.iter().take(*count));
    (1..=longest).rev().find(is_overlap).unwrap_or(0)
}

fn told(line: logs::LogLine) -> LogLine {
    LogLine {
        at_ms: line.at_ms,
        text: line.shown(),
        instance: line.run,
    }
}

fn unreadable(name: &AppName, error: &std::io::Error) -> RpcError {
    RpcError::new(
        RpcErrorCode::Failed,
        format!("the log of {name} cannot be read: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<LogLine> {
        let line = |text: &&str| LogLine {
            at_ms: 1,
            instance: "i".into(),
            text: (*text).into(),
        };
        texts.iter().map(line).collect()
    }

    #[test]
    fn what_was_read_and_followed_is_sent_once() {
        for (read, followed, seen) in [
            (vec!["a", "b"], vec!["c"], 0),
            (vec!["a", "b"], vec!["b", "c"], 1),
            (vec!["a", "b"], vec!["a", "b", "c"], 2),
            (vec!["x", "x"], vec!["x", "x", "x"], 2),
            (vec![], vec!["a"], 0),
        ] {
            assert_eq!(
                overlap(&lines(&read).into(), &lines(&followed)),
                seen,
                "{read:?} {followed:?}"
            );
        }
    }
}
