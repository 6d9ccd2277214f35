//! Streams: what an app writes and what happens on the node, item by item as it comes.

use super::context::Context;
use super::look::Look;
use super::outcome::{Exit, Outcome};
use super::reader;
use super::screen::{Format, line};
use crate::rpc::Procedure;

/// How the items of a stream are told.
pub(crate) struct Telling<'a, T> {
    /// Does it go on with new ones?
    pub(crate) follows: bool,
    /// An item for people, its line ended.
    pub(crate) text: &'a dyn Fn(&Look, &T) -> String,
    /// Its name, its line ended.
    pub(crate) name: &'a dyn Fn(&Look, &T) -> String,
    /// What a person is told when there was none.
    pub(crate) nothing: &'a str,
}

/// Prints the items of `P`: each at once, or all in one document where one was asked for and the stream has an end.
pub(crate) async fn print<P: Procedure>(
    context: &mut Context,
    request: &P::Request,
    telling: Telling<'_, P::Reply>,
) -> Outcome {
    let mut items = context.connect().await?.stream::<P>(request).await?;
    let format = context.screen.format;
    let is_document = matches!(format, Format::Json | Format::Yaml) && !telling.follows;
    let mut document = Vec::new();
    let mut has_items = false;
    let reader_left = reader::has_left();
    tokio::pin!(reader_left);
    loop {
        let item = tokio::select! {
            biased;
            item = items.next() => item?,
            () = &mut reader_left, if telling.follows => return Ok(Exit::Yes),
        };
        let Some(item) = item else { break };
        has_items = true;
        let look = context.screen.look;
        match format {
            Format::Table | Format::Wide => context.screen.print(&(telling.text)(&look, &item))?,
            Format::Name => context.screen.print(&(telling.name)(&look, &item))?,
            Format::Json | Format::Yaml if is_document => document.push(item),
            Format::Json | Format::Jsonl | Format::Yaml => context.screen.print(&line(&item)?)?,
        }
        if context.screen.is_broken() {
            return Ok(Exit::Yes);
        }
    }
    if is_document {
        context.screen.show(&document, |_, _| String::new(), Vec::new)?;
    } else if !has_items && context.screen.is_for_people() {
        context.screen.talk(telling.nothing);
    }
    Ok(Exit::Yes)
}
