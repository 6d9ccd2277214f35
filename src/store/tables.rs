//! What stands in the tables of the databases, read and written within one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableError};

use super::Retention;
use super::batch::{Batch, Slot};
use super::database::{APPS, DEPLOYMENTS, EVENTS, NODE};
use super::deployments::{DEPLOYMENTS_MAX, Deployment};
use super::events::{Direction, EventQuery, now_us};
use super::record::{decode, encode};
use crate::names::AppName;
use crate::telemetry::EventRecord;

/// The most events that one batch takes out of the ring, so that a shortened retention does not stall it.
const REMOVED_PER_BATCH_MAX: usize = 5_000;

/// Writes or removes records.
pub(super) fn write_records(
    database: &Database,
    records: &BTreeMap<Slot, Option<Arc<[u8]>>>,
) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let mut node = write.open_table(NODE)?;
        let mut apps = write.open_table(APPS)?;
        for (slot, bytes) in records {
            let (table, name) = match slot {
                Slot::Node(name) => (&mut node, name),
                Slot::App(name) => (&mut apps, name),
            };
            match bytes {
                Some(bytes) => table.insert(name.as_str(), &**bytes)?,
                None => table.remove(name.as_str())?,
            };
        }
    }
    write.commit()?;
    Ok(())
}

/// Adds events and deployments, and takes out what is too old or too many.
pub(super) fn write_events(
    database: &Database,
    batch: &Batch,
    retention: Retention,
) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let mut events = write.open_table(EVENTS)?;
        for (counter, record) in &batch.events {
            match encode::<EventRecord>(record) {
                Ok(bytes) => drop(events.insert(*counter, bytes.as_slice())?),
                Err(error) => tracing::error!(counter, %error, "an event cannot be encoded and is not kept"),
            }
        }
        let oldest = now_us().saturating_sub(u64::try_from(retention.age.as_micros()).unwrap_or(u64::MAX));
        for _ in 0..REMOVED_PER_BATCH_MAX {
            let is_too_many = events.len()? > retention.count;
            let is_too_old = events
                .first()?
                .is_some_and(|(counter, _)| counter.value() < oldest);
            if !is_too_many && !is_too_old {
                break;
            }
            events.pop_first()?;
        }
        let mut deployments = write.open_table(DEPLOYMENTS)?;
        for ((app, counter), deployment) in &batch.deployments {
            match encode(deployment) {
                Ok(bytes) => drop(deployments.insert((app.as_str(), *counter), bytes.as_slice())?),
                Err(error) => tracing::error!(%app, %error, "a deployment cannot be encoded and is not kept"),
            }
            let of_app = deployments.range((app.as_str(), 0)..=(app.as_str(), u64::MAX))?;
            let counters = of_app
                .map(|entry| Ok(entry?.0.value().1))
                .collect::<Result<Vec<u64>, redb::StorageError>>()?;
            for old in counters
                .iter()
                .take(counters.len().saturating_sub(DEPLOYMENTS_MAX))
            {
                deployments.remove((app.as_str(), *old))?;
            }
        }
    }
    write.commit()?;
    Ok(())
}

/// The events that match, at most `max`.
pub(super) fn events_of(
    database: &Database,
    query: &EventQuery,
    max: usize,
    direction: Direction,
) -> Result<Vec<(u64, Arc<EventRecord>)>, redb::Error> {
    let read = database.begin_read()?;
    let table = match read.open_table(EVENTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let mut range = table.range(query.first_counter()..)?;
    let mut found = Vec::new();
    while found.len() < max {
        let entry = match direction {
            Direction::Forward => range.next(),
            Direction::Backward => range.next_back(),
        };
        let Some(entry) = entry else { break };
        let (counter, bytes) = entry?;
        // One event that cannot be read is no reason to lose the others.
        if let Ok(record) = decode::<EventRecord>(bytes.value())
            && query.matches(counter.value(), &record)
        {
            found.push((counter.value(), Arc::new(record)));
        }
    }
    Ok(found)
}

/// The deployments of an app, oldest first.
pub(super) fn deployments_of(
    database: &Database,
    app: &AppName,
) -> Result<Vec<(u64, Deployment)>, redb::Error> {
    let read = database.begin_read()?;
    let table = match read.open_table(DEPLOYMENTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let mut found = Vec::new();
    for entry in table.range((app.as_str(), 0)..=(app.as_str(), u64::MAX))? {
        let (key, bytes) = entry?;
        if let Ok(deployment) = decode::<Deployment>(bytes.value()) {
            found.push((key.value().1, deployment));
        }
    }
    Ok(found)
}
