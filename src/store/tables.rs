//! What stands in the tables of the databases, read and written within one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableError};

use super::Retention;
use super::batch::{Batch, Slot};
use super::database::{APPS, DEPLOYMENTS, EVENTS, NODE};
use super::deployments::{DEPLOYMENTS_MAX, DEPLOYMENTS_OF_ALL_MAX, Deployment};
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
        remove_oldest(&mut deployments, DEPLOYMENTS_OF_ALL_MAX)?;
    }
    write.commit()?;
    Ok(())
}

/// Takes out the oldest deployments of all apps, and a tenth more than must go: who looks for them reads all.
fn remove_oldest(
    deployments: &mut Table<'_, (&str, u64), &[u8]>,
    max: u64,
) -> Result<(), redb::StorageError> {
    let count = deployments.len()?;
    if count <= max {
        return Ok(());
    }
    let mut counters = Vec::new();
    for entry in deployments.iter()? {
        counters.push(entry?.0.value().1);
    }
    counters.sort_unstable();
    let going = usize::try_from(count - max + max / 10).unwrap_or(usize::MAX);
    let first_kept = counters.get(going).copied().unwrap_or(u64::MAX);
    deployments.retain(|(_, counter), _| counter >= first_kept)
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

/// The deployments of an app, or of all.
pub(super) fn deployments_of(
    database: &Database,
    app: Option<&AppName>,
) -> Result<Vec<(u64, Deployment)>, redb::Error> {
    let read = database.begin_read()?;
    let table = match read.open_table(DEPLOYMENTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let mut found = Vec::new();
    let range = match app {
        Some(app) => table.range((app.as_str(), 0)..=(app.as_str(), u64::MAX))?,
        None => table.iter()?,
    };
    for entry in range {
        let (key, bytes) = entry?;
        if let Ok(deployment) = decode::<Deployment>(bytes.value()) {
            found.push((key.value().1, deployment));
        }
    }
    Ok(found)
}
