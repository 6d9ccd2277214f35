//! A stage for supervisors: children that do as they are told, starts by script, and a witness of every start and exit.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use osier::supervisor::{ChildInfo, ChildSpec, ChildState, StartError, Started, SupervisorRef};
use ractor::concurrency::JoinHandle;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use tokio::sync::watch;

use crate::poll::answered;

/// How long a test waits for anything at most (by the test's clock).
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What a child can be told.
pub enum Order {
    /// Panic.
    Panic,
    /// Return an error.
    Fail,
    /// Sleep in the handler, so that a stop has to wait.
    Sleep(Duration),
    /// Leave the supervisor's list of links.
    Unlink,
}

/// What the next start of a child does.
#[derive(Debug, Clone)]
pub enum Cue {
    /// Starts.
    Run,
    /// Says that it does not want to run.
    Ignore,
    /// Returns an error.
    Fail,
    /// Panics in `pre_start`.
    Panic,
    /// Returns an error after this time.
    FailAfter(Duration),
    /// Starts after this time.
    RunAfter(Duration),
    /// Starts, and panics in `post_start`.
    PanicInPostStart,
    /// Starts, and panics in `post_stop`.
    PanicInPostStop,
    /// Starts, and needs this long to stop.
    SlowStop(Duration),
    /// Starts, and answers a stop with a panic of its own: another reason than the one asked for.
    StopWithError,
    /// Never comes back.
    Hang,
}

/// What was seen, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An incarnation came up.
    Up(String),
    /// An incarnation ended, with this reason (`-`: none was given).
    Down(String, String),
}

#[derive(Default)]
struct Book {
    cues: HashMap<String, VecDeque<Cue>>,
    /// What a child does when its cues are used up.
    always: HashMap<String, Cue>,
    starts: HashMap<String, u64>,
    cells: HashMap<String, Vec<ActorCell>>,
    names: HashMap<ActorId, String>,
    seen: Vec<Seen>,
    /// Things that incarnations hold, and that are free again when they are dropped.
    held: HashMap<String, usize>,
}

/// The stage: hands out specs, gives cues, knows what happened. Cheap to clone.
#[derive(Clone)]
pub struct Stage {
    book: Arc<Mutex<Book>>,
    changed: watch::Sender<u64>,
    witness: ActorRef<()>,
}

struct Witness;

impl Actor for Witness {
    type Msg = ();
    type State = (Arc<Mutex<Book>>, watch::Sender<u64>);
    type Arguments = Self::State;

    async fn pre_start(&self, _: ActorRef<()>, book: Self::State) -> Result<Self::State, ActorProcessingErr> {
        Ok(book)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        (book, changed): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, reason) = match event {
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                (cell, reason.unwrap_or_else(|| "-".into()))
            }
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            _ => return Ok(()),
        };
        let mut book = book.lock().unwrap();
        let name = book.names.get(&cell.get_id()).cloned().unwrap_or_default();
        book.seen.push(Seen::Down(name, reason));
        drop(book);
        changed.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// A panic that prints nothing.
fn unwind(text: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(text))
}

struct Player;

struct Part {
    stage: Stage,
    cue: Cue,
    _held: Held,
}

/// Counts as held until it is dropped.
struct Held(Stage, String);

impl Held {
    fn take(stage: &Stage, id: &str) -> Self {
        *stage.book.lock().unwrap().held.entry(id.to_owned()).or_default() += 1;
        Self(stage.clone(), id.to_owned())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut book = self.0.book.lock().unwrap();
        *book.held.entry(self.1.clone()).or_default() -= 1;
        drop(book);
        self.0.changed.send_modify(|count| *count += 1);
    }
}

impl Actor for Player {
    type Msg = Order;
    type State = Part;
    type Arguments = (Stage, String, Cue);

    async fn pre_start(
        &self,
        myself: ActorRef<Order>,
        (stage, id, cue): Self::Arguments,
    ) -> Result<Part, ActorProcessingErr> {
        let held = Held::take(&stage, &id);
        match &cue {
            Cue::Fail => return Err("cannot start".into()),
            Cue::Panic => unwind("panics at its start"),
            Cue::FailAfter(wait) => {
                tokio::time::sleep(*wait).await;
                return Err("cannot start".into());
            }
            Cue::RunAfter(wait) => tokio::time::sleep(*wait).await,
            Cue::Hang => std::future::pending().await,
            _ => {}
        }
        stage.came_up(&id, myself.get_cell());
        Ok(Part {
            stage,
            cue,
            _held: held,
        })
    }

    async fn post_start(&self, _: ActorRef<Order>, part: &mut Part) -> Result<(), ActorProcessingErr> {
        if matches!(part.cue, Cue::PanicInPostStart) {
            unwind("panics after its start");
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Order>, part: &mut Part) -> Result<(), ActorProcessingErr> {
        match &part.cue {
            Cue::SlowStop(time) => tokio::time::sleep(*time).await,
            Cue::PanicInPostStop => unwind("panics at its end"),
            Cue::StopWithError => return Err("ends for a reason of its own".into()),
            _ => {}
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        order: Order,
        part: &mut Part,
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Panic => unwind("panics as told"),
            Order::Fail => return Err("fails as told".into()),
            Order::Sleep(time) => tokio::time::sleep(time).await,
            Order::Unlink => {
                if let Some(supervisor) = myself.try_get_supervisor() {
                    myself.unlink(supervisor);
                }
                part.stage.changed.send_modify(|count| *count += 1);
            }
        }
        Ok(())
    }
}

impl Stage {
    pub async fn new() -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let (changed, _) = watch::channel(0);
        let arguments = (Arc::clone(&book), changed.clone());
        let (witness, _) = Actor::spawn(None, Witness, arguments).await.unwrap();
        Self {
            book,
            changed,
            witness,
        }
    }

    /// A permanent worker of this stage, that starts unless it has a cue to do otherwise.
    pub fn child(&self, id: &str) -> ChildSpec {
        let (stage, name) = (self.clone(), id.to_owned());
        ChildSpec::new(id, move |supervisor| {
            let (stage, name) = (stage.clone(), name.clone());
            async move {
                let (actor, join) = match stage.next_cue(&name) {
                    Cue::Ignore => return Ok(Started::ignored()),
                    cue => stage.spawn_linked(&name, cue, supervisor).await?,
                };
                Ok(Started::actor(&actor, join))
            }
        })
    }

    pub async fn spawn_linked(
        &self,
        id: &str,
        cue: Cue,
        supervisor: ActorCell,
    ) -> Result<(ActorRef<Order>, JoinHandle<()>), StartError> {
        let arguments = (self.clone(), id.to_owned(), cue);
        Ok(Actor::spawn_linked(None, Player, arguments, supervisor).await?)
    }

    /// Starts an actor that nobody supervises.
    pub async fn stranger(&self, id: &str) -> (ActorRef<Order>, JoinHandle<()>) {
        let arguments = (self.clone(), id.to_owned(), self.next_cue(id));
        Actor::spawn(None, Player, arguments).await.unwrap()
    }

    /// What the next starts of this child do; afterwards it starts.
    pub fn cue(&self, id: &str, cues: impl IntoIterator<Item = Cue>) {
        let mut book = self.book.lock().unwrap();
        book.cues.entry(id.to_owned()).or_default().extend(cues);
    }

    /// What all further starts of this child do.
    pub fn always(&self, id: &str, cue: Cue) {
        self.book.lock().unwrap().always.insert(id.to_owned(), cue);
    }

    fn next_cue(&self, id: &str) -> Cue {
        let mut book = self.book.lock().unwrap();
        *book.starts.entry(id.to_owned()).or_default() += 1;
        self.changed.send_modify(|count| *count += 1);
        let cue = book.cues.get_mut(id).and_then(VecDeque::pop_front);
        cue.or_else(|| book.always.get(id).cloned()).unwrap_or(Cue::Run)
    }

    fn came_up(&self, id: &str, cell: ActorCell) {
        self.witness.get_cell().monitor(cell.clone());
        let mut book = self.book.lock().unwrap();
        book.names.insert(cell.get_id(), id.to_owned());
        book.seen.push(Seen::Up(id.to_owned()));
        let cells = book.cells.entry(id.to_owned()).or_default();
        cells.push(cell);
        drop(book);
        self.changed.send_modify(|count| *count += 1);
    }

    /// How often a start of this child was tried.
    pub fn starts(&self, id: &str) -> u64 {
        self.book
            .lock()
            .unwrap()
            .starts
            .get(id)
            .copied()
            .unwrap_or_default()
    }

    /// The last incarnation of this child.
    pub fn cell(&self, id: &str) -> ActorCell {
        let book = self.book.lock().unwrap();
        book.cells
            .get(id)
            .and_then(|cells| cells.last())
            .cloned()
            .unwrap_or_else(|| panic!("{id} never ran"))
    }

    pub fn pid(&self, id: &str) -> ActorId {
        self.cell(id).get_id()
    }

    /// How many incarnations of this child have come up.
    pub fn ups(&self, id: &str) -> usize {
        self.book.lock().unwrap().cells.get(id).map_or(0, Vec::len)
    }

    /// How many incarnations of this child hold what they need one at a time.
    pub fn held(&self, id: &str) -> usize {
        self.book
            .lock()
            .unwrap()
            .held
            .get(id)
            .copied()
            .unwrap_or_default()
    }

    /// All actors that were ever started here and live.
    pub fn alive(&self) -> Vec<String> {
        let book = self.book.lock().unwrap();
        let mut alive: Vec<String> = Vec::new();
        for (id, cells) in &book.cells {
            let count = cells
                .iter()
                .filter(|cell| cell.get_status() != ActorStatus::Stopped)
                .count();
            alive.extend(std::iter::repeat_n(id.clone(), count));
        }
        alive.sort();
        alive
    }

    /// What was seen so far, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.book.lock().unwrap().seen.clone()
    }

    /// Forgets what was seen so far.
    pub fn forget(&self) {
        self.book.lock().unwrap().seen.clear();
    }

    /// The exits that were seen so far, as `id reason`.
    pub fn downs(&self) -> Vec<String> {
        let downs = self.seen().into_iter().filter_map(|seen| match seen {
            Seen::Down(id, reason) => Some(format!("{id} {reason}")),
            Seen::Up(_) => None,
        });
        downs.collect()
    }

    pub fn tell(&self, id: &str, order: Order) {
        self.cell(id).send_message(order).unwrap();
    }

    /// Crashes a child.
    pub fn crash(&self, id: &str) {
        self.tell(id, Order::Panic);
    }

    /// Waits until `is_so`.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let mut changes = self.changed.subscribe();
        let wait = async {
            while !is_so(self) {
                changes.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            panic!("in vain: until {what}; seen: {:?}", self.seen());
        }
    }

    /// Waits until this child has come up `count` times.
    pub async fn until_up(&self, id: &str, count: usize) {
        self.until(&format!("{id} came up {count} times"), |stage| {
            stage.ups(id) >= count
        })
        .await;
    }

    /// Waits until this exit was seen.
    pub async fn until_down(&self, id: &str, reason: &str) {
        let down = format!("{id} {reason}");
        self.until(&format!("{down:?} was seen"), |stage| {
            stage.downs().contains(&down)
        })
        .await;
    }
}

/// Waits until the children of a supervisor are so: for what only the supervisor knows.
pub async fn until_children(
    supervisor: &SupervisorRef,
    what: &str,
    mut is_so: impl FnMut(&[ChildInfo]) -> bool,
) -> Vec<ChildInfo> {
    answered(what, async || {
        let children = supervisor.which_children().await.unwrap();
        is_so(&children).then_some(children)
    })
    .await
}

/// `id state`, in start order.
pub fn states(children: &[ChildInfo]) -> Vec<String> {
    children
        .iter()
        .map(|child| format!("{} {}", child.id, child.state.as_str()))
        .collect()
}

/// The counts in OTP's order: specs, active, supervisors, workers.
pub async fn counts(supervisor: &SupervisorRef) -> [usize; 4] {
    let counts = supervisor.count_children().await.unwrap();
    [counts.specs, counts.active, counts.supervisors, counts.workers]
}

/// Is this child running, according to its supervisor?
pub async fn is_running(supervisor: &SupervisorRef, id: &str) -> bool {
    supervisor
        .child(id)
        .await
        .is_ok_and(|child| child.state == ChildState::Running)
}
