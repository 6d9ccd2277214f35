//! From the crash of an actor to the first answer of its next incarnation: our supervisors beside a raw ractor restart.
//!
//! `cargo bench --bench supervisor_restart [rounds]`. The peers take turns, one crash each, so that whatever else the machine
//! does falls on all of them alike. Goal: at most twice the raw restart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark that cannot go on fails"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use osier::supervisor::{ChildSpec, DynamicFlags, DynamicSupervisor, Flags, Strategy, Supervisor};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::{oneshot, watch};

const ROUNDS_DEFAULT: usize = 20_000;
const WARM_UP: usize = 500;
/// The goal, as a multiple of the raw restart's median.
const GOAL: f64 = 2.0;

enum Order {
    Crash,
    Ping(RpcReplyPort<()>),
}

/// Where each incarnation says that it is there.
type Stage = watch::Sender<Option<ActorRef<Order>>>;

struct Worker;

impl Actor for Worker {
    type Msg = Order;
    type State = ();
    type Arguments = Arc<Stage>;

    async fn pre_start(&self, myself: ActorRef<Order>, stage: Arc<Stage>) -> Result<(), ActorProcessingErr> {
        stage.send_replace(Some(myself));
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Order>, order: Order, _: &mut ()) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Crash => panic!("as told"),
            Order::Ping(reply) => {
                let _ = reply.send(());
                Ok(())
            }
        }
    }
}

/// The least that a ractor user writes: start it again in the handler.
struct RawSupervisor;

impl Actor for RawSupervisor {
    type Msg = ();
    type State = Arc<Stage>;
    type Arguments = Arc<Stage>;

    async fn pre_start(&self, me: ActorRef<()>, stage: Arc<Stage>) -> Result<Arc<Stage>, ActorProcessingErr> {
        me.spawn_linked(None, Worker, Arc::clone(&stage)).await?;
        Ok(stage)
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<()>,
        event: SupervisionEvent,
        stage: &mut Arc<Stage>,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            me.spawn_linked(None, Worker, Arc::clone(stage)).await?;
        }
        Ok(())
    }
}

/// One way to be restarted, and what it took.
struct Peer {
    name: &'static str,
    _supervisor: ActorCell,
    stage: Arc<Stage>,
    taken: Vec<Duration>,
}

impl Peer {
    fn new(name: &'static str, stage: Arc<Stage>, supervisor: ActorCell) -> Self {
        Self {
            name,
            _supervisor: supervisor,
            stage,
            taken: Vec::new(),
        }
    }

    async fn crash(&mut self) {
        let mut incarnations = self.stage.subscribe();
        let current = incarnations.borrow_and_update().clone().unwrap();
        let start = Instant::now();
        current.send_message(Order::Crash).unwrap();
        incarnations.changed().await.unwrap();
        let next = incarnations.borrow_and_update().clone().unwrap();
        let (reply, answer) = oneshot::channel();
        next.send_message(Order::Ping(reply.into())).unwrap();
        answer.await.unwrap();
        self.taken.push(start.elapsed());
    }

    fn percentile(&self, percent: usize) -> Duration {
        let mut taken = self.taken.clone();
        taken.sort_unstable();
        *taken.get((taken.len() - 1) * percent / 100).unwrap()
    }
}

fn spec(stage: &Arc<Stage>) -> ChildSpec {
    let stage = Arc::clone(stage);
    ChildSpec::actor("worker", move || (Worker, Arc::clone(&stage)))
}

async fn peers(intensity: u32) -> Vec<Peer> {
    let new_stage = || Arc::new(watch::Sender::new(None));
    let mut peers = Vec::new();

    let stage = new_stage();
    let (raw, _) = Actor::spawn(None, RawSupervisor, Arc::clone(&stage))
        .await
        .unwrap();
    peers.push(Peer::new("raw ractor restart", stage, raw.get_cell()));

    let period = Duration::from_millis(1);
    let stage = new_stage();
    let flags = Flags::new(Strategy::OneForOne).intensity(intensity, period);
    let ours = Supervisor::start(flags, vec![spec(&stage)], None).await.unwrap();
    peers.push(Peer::new("Supervisor, one_for_one", stage, ours.cell()));

    let stage = new_stage();
    let flags = Flags::new(Strategy::RestForOne).intensity(intensity, period);
    let ours = Supervisor::start(flags, vec![spec(&stage)], None).await.unwrap();
    peers.push(Peer::new("Supervisor, rest_for_one", stage, ours.cell()));

    let stage = new_stage();
    let flags = DynamicFlags {
        intensity,
        period,
        ..DynamicFlags::default()
    };
    let ours = DynamicSupervisor::start(flags, None).await.unwrap();
    ours.start_child(spec(&stage)).await.unwrap();
    for bystander in 0..5_000 {
        let idle = Arc::new(watch::Sender::new(None));
        let spec = ChildSpec::actor(format!("bystander {bystander}"), move || {
            (Worker, Arc::clone(&idle))
        });
        ours.start_child(spec).await.unwrap();
    }
    peers.push(Peer::new("DynamicSupervisor of 5,001", stage, ours.cell()));
    peers
}

#[tokio::main]
async fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(ROUNDS_DEFAULT);
    std::panic::set_hook(Box::new(|_| {}));
    let mut peers = peers(1_000).await;
    for round in 0..WARM_UP + rounds {
        for peer in &mut peers {
            peer.crash().await;
            if round < WARM_UP {
                peer.taken.clear();
            }
        }
    }
    let raw = peers.first().unwrap().percentile(50).as_secs_f64();
    println!("crash to next answer, {rounds} interleaved rounds");
    println!("| restart by | p50 us | p99 us | of raw p50 | goal |");
    println!("|---|---:|---:|---:|---|");
    for peer in &peers {
        let (p50, p99) = (
            peer.percentile(50).as_secs_f64(),
            peer.percentile(99).as_secs_f64(),
        );
        let ratio = p50 / raw;
        let verdict = if ratio <= GOAL { "met" } else { "missed" };
        println!(
            "| {} | {:.1} | {:.1} | {ratio:.2} | <= {GOAL}: {verdict} |",
            peer.name,
            p50 * 1e6,
            p99 * 1e6
        );
    }
    // The supervisors and their 5,000 children end with the process.
    std::process::exit(0);
}
