//! Names of DJI's products, and what a product tells of the numbers it sends.

use super::StepFamily;

/// The three numbers that tell which product a device is (DJI Cloud API, "Product support"). A gateway
/// sends them of itself and of its aircraft in `update_topo` ("Device management").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Model {
    /// What it is: 0 an aircraft, 1 a payload, 2 a remote control, 3 a dock.
    pub domain: i64,
    /// `type`: the series, counted in each domain.
    pub kind: i64,
    /// `sub_type`: which of the series.
    pub sub_type: i64,
}

/// Domain of aircraft.
const AIRCRAFT: i64 = 0;
/// Domain of remote controls.
const REMOTE_CONTROL: i64 = 2;
/// Domain of docks.
const DOCK: i64 = 3;

impl Model {
    const fn new(domain: i64, kind: i64, sub_type: i64) -> Self {
        Self { domain, kind, sub_type }
    }
}

/// Those of the page up to Cloud API 1.15, in ascending order.
const MODELS: &[(Model, &str)] = &[
    (Model::new(AIRCRAFT, 60, 0), "Matrice 300 RTK"),
    (Model::new(AIRCRAFT, 67, 0), "Matrice 30"),
    (Model::new(AIRCRAFT, 67, 1), "Matrice 30T"),
    (Model::new(AIRCRAFT, 77, 0), "Mavic 3E"),
    (Model::new(AIRCRAFT, 77, 1), "Mavic 3T"),
    (Model::new(AIRCRAFT, 77, 3), "Mavic 3TA"),
    (Model::new(AIRCRAFT, 89, 0), "Matrice 350 RTK"),
    (Model::new(AIRCRAFT, 91, 0), "Matrice 3D"),
    (Model::new(AIRCRAFT, 91, 1), "Matrice 3TD"),
    (Model::new(AIRCRAFT, 99, 0), "Matrice 4E"),
    (Model::new(AIRCRAFT, 99, 1), "Matrice 4T"),
    (Model::new(AIRCRAFT, 100, 0), "Matrice 4D"),
    (Model::new(AIRCRAFT, 100, 1), "Matrice 4TD"),
    (Model::new(REMOTE_CONTROL, 56, 0), "Smart Controller Enterprise"),
    (Model::new(REMOTE_CONTROL, 119, 0), "RC Plus"),
    (Model::new(REMOTE_CONTROL, 144, 0), "RC Pro Enterprise"),
    (Model::new(REMOTE_CONTROL, 174, 0), "RC Plus 2"),
    (Model::new(DOCK, 1, 0), "Dock"),
    (Model::new(DOCK, 2, 0), "Dock 2"),
    (Model::new(DOCK, 3, 0), "Dock 3"),
];

/// The name of a product, without "DJI" (DJI Cloud API, "Product support").
#[must_use]
pub fn model_name(model: Model) -> Option<&'static str> {
    let place = MODELS.binary_search_by_key(&model, |(model, _)| *model).ok()?;
    MODELS.get(place).map(|(_, name)| *name)
}

/// How a gateway of this model numbers its steps, if its firmware is of the newest documented kind.
///
/// DJI changed the numbering with versions of the Cloud API, and no message tells that version: the
/// `thing_version` of `update_topo` is one of the device model, and no document relates it or a firmware
/// to a numbering. So the model alone decides, for the newest numbering that is documented of it
/// ("Report mission progress" of each dock). A dock with older firmware would get wrong names: for it the
/// family has to be configured ([`StepFamily`] is read from text).
///
/// None for what is no dock and for docks that are not documented: their numbers are shown as they are.
/// The sub-type does not count, a dock that is a variant still is its type.
#[must_use]
pub fn family_of(model: Model) -> Option<StepFamily> {
    match (model.domain, model.kind) {
        (DOCK, 1) => Some(StepFamily::Dock1),
        (DOCK, 2 | 3) => Some(StepFamily::Dock2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_can_be_searched_and_named() {
        assert!(MODELS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (model, name) in MODELS {
            assert_eq!(model_name(*model), Some(*name));
        }
    }

    #[test]
    fn type_1_is_a_dock_only_in_the_domain_of_docks() {
        assert_eq!(model_name(Model::new(3, 1, 0)), Some("Dock"));
        assert_eq!(model_name(Model::new(3, 2, 0)), Some("Dock 2"));
        assert_eq!(model_name(Model::new(3, 3, 0)), Some("Dock 3"));
        assert_eq!(model_name(Model::new(0, 67, 1)), Some("Matrice 30T"));
        assert_eq!(model_name(Model::new(2, 119, 0)), Some("RC Plus"));
        for unknown in [(0, 1, 0), (3, 4, 0), (3, 119, 0), (1, 67, 0), (-3, 1, 0), (3, 1, 7)] {
            assert_eq!(model_name(Model::new(unknown.0, unknown.1, unknown.2)), None);
        }
    }

    #[test]
    fn only_docks_that_are_documented_have_a_family() {
        assert_eq!(family_of(Model::new(3, 1, 0)), Some(StepFamily::Dock1));
        assert_eq!(family_of(Model::new(3, 2, 0)), Some(StepFamily::Dock2));
        assert_eq!(family_of(Model::new(3, 3, 0)), Some(StepFamily::Dock2));
        assert_eq!(family_of(Model::new(3, 1, 9)), Some(StepFamily::Dock1));
        for unknown in [(3, 0, 0), (3, 4, 0), (2, 119, 0), (0, 2, 0), (3, i64::MAX, 0)] {
            assert_eq!(family_of(Model::new(unknown.0, unknown.1, unknown.2)), None);
        }
    }
}
