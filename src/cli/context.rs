//! What every command works with: the global flags, the screen, and the way to the daemon.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::args::Globals;
use super::find;
use super::look::Look;
use super::outcome::{Exit, Outcome, Trouble};
use super::reader;
use super::render;
use super::screen::{Format, Screen};
use crate::control::client::{Client, Items};
use crate::rpc::Procedure;
use crate::rpc::procedures::{Events, EventsRequest, Nothing, Watch};

/// How long a question that the daemon answers from memory may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Whoever waits longer than this is told what happens meanwhile.
const TELLING_AFTER: Duration = Duration::from_secs(1);

/// How often a watched screen is drawn again where nothing changes: its ages go on.
const REDRAW_INTERVAL: Duration = Duration::from_secs(1);

/// One run of the command line.
pub(crate) struct Context {
    pub(crate) globals: Globals,
    pub(crate) screen: Screen,
    advice: Interruption,
}

/// What is said when Ctrl-C ends the waiting: how to follow what goes on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interruption(Rc<Cell<Option<&'static str>>>);

impl Interruption {
    /// The advice of the command that was interrupted, if something goes on without it.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        self.0.get()
    }
}

impl Context {
    /// For these flags.
    pub(crate) fn new(globals: Globals) -> Self {
        let mut format = globals.output;
        if globals.watch && format == Format::Json {
            format = Format::Jsonl;
        }
        let screen = Screen::new(format, globals.color, globals.quiet);
        Self {
            globals,
            screen,
            advice: Interruption::default(),
        }
    }

    /// For commands that print a text for other programs and no data.
    pub(crate) fn refuse_format(&self) -> Result<(), Trouble> {
        match self.globals.output {
            Format::Table | Format::Wide => Ok(()),
            Format::Json | Format::Jsonl | Format::Yaml | Format::Name => {
                let what = "this command prints a text and no data, so it has no other format";
                Err(Trouble::new(what).help("leave -o out"))
            }
        }
    }

    /// From here on something goes on when the waiting is interrupted.
    pub(crate) fn on_interrupt(&self, advice: &'static str) {
        self.advice.0.set(Some(advice));
    }

    /// What to say after Ctrl-C.
    pub(crate) fn interruption(&self) -> Interruption {
        self.advice.clone()
    }

    /// A connection to the daemon.
    pub(crate) async fn connect(&self) -> Result<Client, Trouble> {
        let client = find::connect(&self.globals).await?;
        if self.globals.verbose > 0 {
            self.screen.talk(&format!("asking {}", client.path().display()));
        }
        Ok(client)
    }

    /// Asks the daemon something that it can answer at once.
    pub(crate) async fn ask<P: Procedure>(&self, request: &P::Request) -> Result<P::Reply, Trouble> {
        let mut client = self.connect().await?;
        self.ask_through::<P>(&mut client, request).await
    }

    /// As [`Context::ask`] over a connection that is there.
    pub(crate) async fn ask_through<P: Procedure>(
        &self,
        client: &mut Client,
        request: &P::Request,
    ) -> Result<P::Reply, Trouble> {
        Ok(client.call::<P>(request, Some(ANSWER_TIMEOUT)).await?)
    }

    /// Waits for `work`; what happens to `app` (or on the node) meanwhile is told on standard error, once it takes long.
    pub(crate) async fn telling<T>(&self, app: Option<&str>, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        if self.screen.is_quiet {
            return work.await;
        }
        tokio::select! {
            biased;
            done = &mut work => done,
            () = self.tell_what_happens(app) => work.await,
        }
    }

    /// Returns when nothing can be told.
    async fn tell_what_happens(&self, app: Option<&str>) {
        let began = Instant::now();
        let request = EventsRequest {
            since_ms: Some(self.screen.look.now_ms),
            app: app.map(str::to_owned),
            follow: true,
            ..EventsRequest::default()
        };
        let Ok(client) = find::connect(&self.globals).await else {
            return;
        };
        let Ok(mut events) = client.stream::<Events>(&request).await else {
            return;
        };
        let mut untold = Vec::new();
        let long = sleep_until(began + TELLING_AFTER);
        tokio::pin!(long);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Ok(Some(event)) => untold.push(render::events::line(&self.screen.talk_look, &event)),
                    Ok(None) | Err(_) => return,
                },
                () = &mut long, if !long.is_elapsed() => {}
            }
            if long.is_elapsed() {
                untold
                    .drain(..)
                    .for_each(|line| self.screen.talk(line.trim_end()));
            }
        }
    }

    /// Does `once`; with `--watch` again whenever something changed, until it is interrupted.
    pub(crate) async fn repeat(&mut self, mut once: impl AsyncFnMut(&mut Self) -> Outcome) -> Outcome {
        if !self.globals.watch {
            return once(self).await;
        }
        tokio::select! {
            outcome = self.watch(once) => outcome,
            () = reader::has_left() => Ok(Exit::Yes),
        }
    }

    async fn watch(&mut self, mut once: impl AsyncFnMut(&mut Self) -> Outcome) -> Outcome {
        self.screen.begin_watching();
        let mut changes = self.changes().await?;
        loop {
            self.refresh();
            match once(self).await {
                Ok(_) => {}
                Err(trouble) => self.screen.draw_trouble(&trouble)?,
            }
            if self.screen.is_broken() {
                return Ok(Exit::Yes);
            }
            if self.wait_for_change(&mut changes).await.is_err() {
                changes = self.changes_again().await?;
            }
        }
    }

    async fn changes(&self) -> Result<Items<Watch>, Trouble> {
        Ok(self.connect().await?.stream::<Watch>(&Nothing {}).await?)
    }

    /// Waits for the daemon to come back: whoever watches wants to see that.
    async fn changes_again(&mut self) -> Result<Items<Watch>, Trouble> {
        loop {
            match self.changes().await {
                Ok(changes) => return Ok(changes),
                Err(trouble) => self.screen.draw_trouble(&trouble)?,
            }
            if self.screen.is_broken() {
                return Err(Trouble::new("standard output was closed"));
            }
            tokio::time::sleep(REDRAW_INTERVAL).await;
        }
    }

    async fn wait_for_change(&self, changes: &mut Items<Watch>) -> Result<(), Trouble> {
        let redraw_at = Instant::now() + REDRAW_INTERVAL;
        let redraws = self.screen.is_redrawing();
        tokio::select! {
            item = changes.next() => match item? {
                Some(_) => Ok(()),
                None => Err(Trouble::new("the daemon ended the stream")),
            },
            () = sleep_until(redraw_at), if redraws => Ok(()),
        }
    }

    /// The clock and the width may have changed since the last drawing.
    fn refresh(&mut self) {
        self.screen.look = Look {
            is_coloured: self.screen.look.is_coloured,
            is_ascii: self.screen.look.is_ascii,
            ..Look::of_stdout(self.globals.color)
        };
    }
}
