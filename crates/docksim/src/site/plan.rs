//! What a site sends, from a seed: no clock, no network, no chance but the seed's.

use std::rc::Rc;

use super::course::{self, DECK, Phase, Report};
use super::model::{MODELS, Model};
use crate::random::Random;

/// Milliseconds from one `osd` to the next: DJI's 0.5 Hz.
const OSD_MS: u64 = 2_000;

/// A script has no more seconds than this, summed over its docks: some 1 GB of messages.
pub const DOCK_SECONDS_AT_MOST: u64 = 4_000_000;

/// A site and all that it sends.
#[derive(Clone, PartialEq, Debug)]
pub struct Site {
    /// What it was made from.
    pub seed: u64,
    /// How long it goes on, in milliseconds of the script.
    pub length_ms: u64,
    /// Its docks.
    pub docks: Vec<Dock>,
}

/// A dock and all that it sends.
#[derive(Clone, PartialEq, Debug)]
pub struct Dock {
    /// Serial number, made up.
    pub sn: String,
    /// What it is.
    pub model: Model,
    /// What it sends, in order of time.
    pub script: Vec<Entry>,
}

/// Something that a dock does.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// When, in milliseconds since the script began.
    pub at_ms: u64,
    /// What.
    pub action: Action,
}

/// What a dock can do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// `update_topo`, with its aircraft if it has one.
    Topology(Option<Rc<Aircraft>>),
    /// `state`, which comes when something changes: seconds in operation so far.
    State(u64),
    /// `osd` of dock and aircraft.
    Osd(Phase),
    /// A `flighttask_progress`.
    Event(Event),
    /// The connection is lost without a DISCONNECT; another is not to be had for so many milliseconds.
    LinkLost(u64),
}

/// An aircraft.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aircraft {
    /// Serial number, made up.
    pub sn: String,
    /// `type` and `sub_type`.
    pub kind: (u32, u32),
}

/// A `flighttask_progress`.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// From 0, among the events of its dock.
    pub number: u32,
    /// `flight_id`, and `bid`.
    pub task: Rc<str>,
    /// What it says.
    pub report: Report,
}

/// The site of a seed: `docks` of them for `length_s` seconds.
///
/// Every sixth dock and the next one are a pair that hands its one aircraft to and fro; the others fly
/// from where they land.
///
/// # Errors
/// That is more than [`DOCK_SECONDS_AT_MOST`].
pub fn plan(seed: u64, docks: u32, length_s: u64) -> Result<Site, String> {
    if u64::from(docks).saturating_mul(length_s) > DOCK_SECONDS_AT_MOST {
        return Err(format!("more than {DOCK_SECONDS_AT_MOST} seconds of docks"));
    }
    let length_ms = length_s * 1_000;
    let offset = Random::new(seed, 0).between(0, 100);
    let mut planned = Vec::new();
    let mut number = 0;
    while number < docks {
        // The first pair starts at the second dock, so that one dock alone flies everything else.
        let is_pair = number % 6 == 1 && number + 1 < docks;
        if is_pair {
            planned.extend(pair(seed, number, length_ms));
            number += 2;
        } else {
            planned.push(alone(seed, number, offset, length_ms));
            number += 1;
        }
    }
    Ok(Site { seed, length_ms, docks: planned })
}

/// A dock by itself.
fn alone(seed: u64, number: u32, offset: u64, length_ms: u64) -> Dock {
    let mut random = Random::new(seed, 1 + u64::from(number));
    let model = MODELS[((offset + u64::from(number)) % 3) as usize];
    let mut log = Log::new(number, model, Some(aircraft(number, model)), &mut random);
    let mut card = offset + u64::from(number) * 3;
    while log.at_ms < length_ms {
        log.at_ms += random.between(3_000, 15_000);
        let outcome = DECK[(card % DECK.len() as u64) as usize];
        card += 1;
        let reports = course::course(&mut random, model, outcome);
        let task: Rc<str> = random.uuid().into();
        log.fly(&mut random, &task, reports, |_, _| {});
    }
    log.finish(length_ms)
}

/// Two docks with one aircraft.
fn pair(seed: u64, number: u32, length_ms: u64) -> [Dock; 2] {
    let mut random = Random::new(seed, 1 + u64::from(number));
    let of = |n: u32| if n.is_multiple_of(2) { Model::Dock2 } else { Model::Dock3 };
    let aircraft = aircraft(number, of(number));
    let mut here = Log::new(number, of(number), Some(Rc::clone(&aircraft)), &mut random);
    let mut there = Log::new(number + 1, of(number + 1), None, &mut random);
    while here.at_ms < length_ms {
        let begin_ms = here.at_ms.max(there.at_ms) + random.between(3_000, 15_000);
        (here.at_ms, there.at_ms) = (begin_ms, begin_ms);
        let (leaves, lands) = course::hand_over(&mut random, here.model, there.model);
        let task: Rc<str> = random.uuid().into();
        let mut landed_ms = None;
        let model = there.model;
        there.fly(&mut random, &task, lands, |log, report| {
            if landed_ms.is_none() && course::is_landing(report, model) {
                landed_ms = Some(log.at_ms);
                log.push(Action::Topology(Some(Rc::clone(&aircraft))));
            }
        });
        here.fly(&mut random, &task, leaves, |_, _| {});
        let at_ms = landed_ms.unwrap_or(begin_ms);
        here.script.push(Entry { at_ms, action: Action::Topology(None) });
        std::mem::swap(&mut here, &mut there);
    }
    let mut docks = [here.finish(length_ms), there.finish(length_ms)];
    docks.sort_by(|a, b| a.sn.cmp(&b.sn));
    docks
}

fn aircraft(number: u32, model: Model) -> Rc<Aircraft> {
    Rc::new(Aircraft { sn: format!("SIMDRONE{:04}", number + 1), kind: model.aircraft() })
}

/// A script in the making.
struct Log {
    sn: String,
    model: Model,
    at_ms: u64,
    script: Vec<Entry>,
    events: u32,
    /// Seconds in operation so far.
    operated_s: u64,
}

impl Log {
    fn new(number: u32, model: Model, aircraft: Option<Rc<Aircraft>>, random: &mut Random) -> Self {
        let sn = format!("SIMDOCK{:04}", number + 1);
        // Not all docks of a site are switched on at once.
        let at_ms = random.between(0, 2_000);
        let mut log = Self { sn, model, at_ms, script: Vec::new(), events: 0, operated_s: 0 };
        log.push(Action::Topology(aircraft));
        log.push(Action::State(0));
        log
    }

    fn push(&mut self, action: Action) {
        self.script.push(Entry { at_ms: self.at_ms, action });
    }

    /// One task; `beside` may add what else happens with an event. In one of four the link is lost.
    fn fly(
        &mut self,
        random: &mut Random,
        task: &Rc<str>,
        reports: Vec<Report>,
        mut beside: impl FnMut(&mut Self, &Report),
    ) {
        let count = reports.len() as u64;
        let lost = random.one_in(4).then(|| random.between(0, count - 1) as usize);
        let lost_ms = random.between(2_000, 12_000);
        let began_ms = self.at_ms;
        for (index, report) in reports.into_iter().enumerate() {
            self.at_ms += u64::from(report.after_s) * 1_000;
            beside(self, &report);
            let number = self.events;
            self.events += 1;
            self.push(Action::Event(Event { number, task: Rc::clone(task), report }));
            if lost == Some(index) {
                self.push(Action::LinkLost(lost_ms));
            }
        }
        self.operated_s += (self.at_ms - began_ms) / 1_000;
        self.push(Action::State(self.operated_s));
    }

    /// Adds `osd`, puts all in order and leaves out what comes too late.
    fn finish(mut self, length_ms: u64) -> Dock {
        // What is pushed for another dock's sake is not in order; what is at one time stays as it is.
        self.script.sort_by_key(|entry| entry.at_ms);
        let mut script = Vec::with_capacity(self.script.len() + (length_ms / OSD_MS) as usize);
        let mut osd_ms = self.script.first().map_or(0, |entry| entry.at_ms);
        let mut phase = Phase::Idle;
        for entry in self.script.into_iter().filter(|entry| entry.at_ms < length_ms) {
            while osd_ms < entry.at_ms {
                script.push(Entry { at_ms: osd_ms, action: Action::Osd(phase) });
                osd_ms += OSD_MS;
            }
            match &entry.action {
                Action::Event(event) => phase = event.report.phase,
                Action::State(_) => phase = Phase::Idle,
                _ => {}
            }
            script.push(entry);
        }
        Dock { sn: self.sn, model: self.model, script }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn events(dock: &Dock) -> impl Iterator<Item = &Event> {
        dock.script.iter().filter_map(|entry| match &entry.action {
            Action::Event(event) => Some(event),
            _ => None,
        })
    }

    #[test]
    fn a_seed_gives_one_script_and_another_seed_another() {
        for seed in 0..20 {
            let site = plan(seed, 7, 300).unwrap();
            assert_eq!(site, plan(seed, 7, 300).unwrap());
            assert_ne!(site, plan(seed + 1, 7, 300).unwrap());
        }
    }

    #[test]
    fn a_script_is_in_order_and_its_events_are_numbered() {
        let site = plan(1, 9, 600).unwrap();
        assert_eq!(site.docks.len(), 9);
        for dock in &site.docks {
            assert!(dock.script.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
            assert!(dock.script.iter().all(|entry| entry.at_ms < site.length_ms));
            assert!(events(dock).map(|event| event.number).eq(0..events(dock).count() as u32));
            assert!(matches!(dock.script[0].action, Action::Topology(_)));
        }
    }

    #[test]
    fn a_site_has_everything() {
        let site = plan(5, 12, 600).unwrap();
        let statuses: BTreeSet<_> =
            site.docks.iter().flat_map(|dock| events(dock).map(|e| e.report.status)).collect();
        assert_eq!(statuses.len(), 9, "{statuses:?}");
        let models: BTreeSet<_> = site.docks.iter().map(|dock| dock.model.type_code()).collect();
        assert_eq!(models.len(), 3);
        let lost = |entry: &Entry| matches!(entry.action, Action::LinkLost(_));
        assert!(site.docks.iter().any(|dock| dock.script.iter().any(lost)));
        let mut docks_of_task: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for dock in &site.docks {
            for event in events(dock) {
                docks_of_task.entry(&*event.task).or_default().insert(&*dock.sn);
            }
        }
        assert!(docks_of_task.values().any(|docks| docks.len() == 2), "a hand-over");
        assert!(docks_of_task.values().all(|docks| docks.len() <= 2));
    }

    #[test]
    fn an_aircraft_is_with_one_dock_at_a_time() {
        let site = plan(3, 3, 900).unwrap();
        let mut moves: Vec<_> = site.docks[1..]
            .iter()
            .flat_map(|dock| {
                dock.script.iter().map(move |entry| (entry.at_ms, dock, &entry.action))
            })
            .filter(|(_, _, action)| matches!(action, Action::Topology(_)))
            .collect();
        moves.sort_by_key(|(at_ms, dock, _)| (*at_ms, dock.sn.clone()));
        assert!(moves.len() > 6, "{}", moves.len());
        let has = |action: &Action| matches!(action, Action::Topology(Some(_)));
        let pairs = moves.chunks_exact(2).filter(|pair| pair[0].0 == pair[1].0);
        assert!(pairs.clone().count() > 2);
        assert!(pairs.into_iter().all(|pair| has(pair[0].2) != has(pair[1].2)));
    }

    #[test]
    fn osd_comes_every_other_second_of_the_script() {
        let site = plan(2, 1, 120).unwrap();
        let osd: Vec<_> = (site.docks[0].script.iter())
            .filter(|entry| matches!(entry.action, Action::Osd(_)))
            .map(|entry| entry.at_ms)
            .collect();
        assert!(osd.len() > 40 && osd.windows(2).all(|pair| pair[1] - pair[0] == OSD_MS));
    }

    #[test]
    fn a_script_is_bounded() {
        assert!(plan(1, 1_000, 4_001).is_err());
        assert!(plan(1, 0, 0).unwrap().docks.is_empty());
    }
}
