//! `docksim onboard`: a dock's first contact with its cloud, in the documented order, each reply
//! checked and shown.

pub mod check;
pub mod request;

use std::io;
use std::time::Duration;

use dockside_mqtt::packet::Packet;
use dockside_mqtt::{PacketId, QoS};
use tokio::time::{Instant, timeout_at};

use self::check::Said;
use self::request::{Asked, STEPS, Step};
use crate::client::Client;
use crate::fly::now_ms;
use crate::target::Target;

/// How the first contact goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Serial number of the dock.
    pub sn: String,
    /// Serial number of its aircraft.
    pub aircraft: String,
    /// What the operator types: the organisation's code for new devices.
    pub binding_code: String,
    /// What the operator types: which organisation.
    pub organization_id: String,
    /// How long a reply is waited for.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sn: "SIMDOCK1".to_owned(),
            aircraft: "SIMDRONE1".to_owned(),
            binding_code: String::new(),
            organization_id: String::new(),
            patience: Duration::from_secs(5),
        }
    }
}

/// What came of one step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A right reply.
    Answered(Said),
    /// A reply that is wrong, and what is.
    Malformed(String),
    /// No reply.
    Missing,
    /// Nothing to ask, and why.
    Skipped(&'static str),
}

/// What came of the first contact.
#[derive(Clone, Default, Debug)]
pub struct Summary {
    /// Every step, in order.
    pub steps: Vec<(&'static str, Outcome)>,
}

impl Summary {
    /// Whether everything asked got a right reply; a refusal is one.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        let is_wrong =
            |outcome: &Outcome| matches!(outcome, Outcome::Malformed(_) | Outcome::Missing);
        !self.steps.is_empty() && !self.steps.iter().any(|(_, outcome)| is_wrong(outcome))
    }

    /// How many steps are of this kind.
    #[must_use]
    pub fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.steps.iter().filter(|(_, outcome)| is(outcome)).count()
    }

    /// Why a step is left out after what came of those before it.
    fn skip(&self, step: Step) -> Option<&'static str> {
        let of = |step: Step| {
            self.steps.iter().find(|(method, _)| *method == step.method()).map(|(_, what)| what)
        };
        let is_bound =
            matches!(of(Step::BindStatus), Some(Outcome::Answered(said)) if said.is_bound);
        let is_refused =
            matches!(of(Step::OrganizationGet), Some(Outcome::Answered(said)) if said.is_refused);
        match step {
            Step::OrganizationGet | Step::OrganizationBind if is_bound => {
                Some("dock and aircraft are bound")
            }
            Step::OrganizationBind if is_refused => Some("no such organization"),
            _ => None,
        }
    }
}

/// Plays it, a line for each step.
///
/// # Errors
/// The connection fails.
pub async fn onboard(broker: &Target, options: &Options) -> io::Result<Summary> {
    let sn = &options.sn;
    let mut client = Client::connect(broker, sn, sn).await?;
    let began_ms = now_ms();
    let flight_id = format!("f11ea5ed-0000-4000-8000-{began_ms:012x}");
    for step in [Step::Config, Step::UpdateTopo, Step::Progress] {
        let asked = step.ask(options, &flight_id, began_ms);
        client.subscribe(&asked.reply_topic, QoS::AtLeastOnce).await?;
    }
    println!("{sn} connected to {}", broker.address);
    let mut summary = Summary::default();
    for (number, step) in (1..).zip(STEPS) {
        let outcome = match summary.skip(step) {
            Some(why) => Outcome::Skipped(why),
            None => {
                let until = Instant::now() + options.patience;
                loop {
                    let asked = step.ask(options, &flight_id, now_ms());
                    let id = PacketId::new(number);
                    let outcome = ask(&mut client, step, options, &flight_id, &asked, id).await?;
                    if !may_come_yet(step, &outcome) || Instant::now() > until {
                        break outcome;
                    }
                    tokio::time::sleep(FOLLOWS).await;
                }
            }
        };
        println!("{}", line(step, options, &outcome));
        summary.steps.push((step.method(), outcome));
    }
    client.disconnect().await?;
    Ok(summary)
}

/// Whether another answer is right a moment later: how a task stands may follow its events.
fn may_come_yet(step: Step, outcome: &Outcome) -> bool {
    step == Step::ProgressGet && matches!(outcome, Outcome::Answered(said) if said.is_refused)
}

/// Between two questions.
const FOLLOWS: Duration = Duration::from_millis(100);

async fn ask(
    client: &mut Client,
    step: Step,
    options: &Options,
    flight_id: &str,
    asked: &Asked,
    packet_id: Option<PacketId>,
) -> io::Result<Outcome> {
    let payload = asked.payload.to_string();
    client.publish(&asked.topic, payload.as_bytes(), QoS::AtLeastOnce, packet_id);
    client.flush().await?;
    let until = Instant::now() + options.patience;
    let mut found = None;
    loop {
        client.packets(|packet, _| {
            let Packet::Publish(publish) = packet else { return };
            if publish.topic == asked.reply_topic && found.is_none() {
                found = check::envelope(asked, publish.payload).transpose();
            }
        })?;
        client.flush().await?;
        if let Some(found) = found {
            let said = found.and_then(|data| check::data(step, options, flight_id, &data));
            return Ok(said.map_or_else(Outcome::Malformed, Outcome::Answered));
        }
        match timeout_at(until, client.read()).await {
            Ok(read) => read?,
            Err(_) => return Ok(Outcome::Missing),
        }
    }
}

fn line(step: Step, options: &Options, outcome: &Outcome) -> String {
    let method = step.method();
    let came = match outcome {
        Outcome::Answered(said) => said.text.clone(),
        Outcome::Malformed(wrong) => format!("MALFORMED REPLY: {wrong}"),
        Outcome::Missing => format!(
            "no answer after {} s: {} would answer it",
            options.patience.as_secs(),
            step.rule(&options.sn)
        ),
        Outcome::Skipped(why) => format!("not asked: {why}"),
    };
    format!("{method:<26} {came}")
}
