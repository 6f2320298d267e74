//! The docks of a site: what they are called and how their firmware numbers the steps of a task.

/// A dock of DJI's, with the aircraft that belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Model {
    /// Dock with a Matrice 30T; steps as of Cloud API 1.11.2.
    Dock1,
    /// Dock 2 with a Matrice 3TD; steps as of Cloud API 1.11.1.
    Dock2,
    /// Dock 3 with a Matrice 4TD; steps as of Cloud API 1.15.
    Dock3,
}

/// All of them.
pub const MODELS: [Model; 3] = [Model::Dock2, Model::Dock3, Model::Dock1];

/// The aircraft is with the cloud's other dock, or there is nothing to say ("no specific state").
pub const NO_STEP: u32 = 65_534;

impl Model {
    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dock1 => "Dock",
            Self::Dock2 => "Dock 2",
            Self::Dock3 => "Dock 3",
        }
    }

    /// `type` of the dock; its `domain` is 3 and its `sub_type` 0.
    #[must_use]
    pub fn type_code(self) -> u32 {
        match self {
            Self::Dock1 => 1,
            Self::Dock2 => 2,
            Self::Dock3 => 3,
        }
    }

    /// `type` and `sub_type` of its aircraft; the `domain` is 0.
    #[must_use]
    pub fn aircraft(self) -> (u32, u32) {
        match self {
            Self::Dock1 => (67, 1),
            Self::Dock2 => (91, 1),
            Self::Dock3 => (100, 1),
        }
    }

    /// A firmware version in the form of this dock's.
    #[must_use]
    pub fn firmware(self) -> &'static str {
        match self {
            Self::Dock1 => "01.54.22.03",
            Self::Dock2 => "10.01.16.04",
            Self::Dock3 => "14.00.03.07",
        }
    }

    /// The number that this dock gives to what a Dock 2 calls `step`; none if it has no such step.
    ///
    /// The list of a Dock is that of a Dock 2 without the pairing of the remote link (8) and without
    /// the check of a second dock (22), and closed up.
    #[must_use]
    pub fn step(self, step: u32) -> Option<u32> {
        match (self, step) {
            (Self::Dock2 | Self::Dock3, _) | (_, 0..8 | NO_STEP..) => Some(step),
            (Self::Dock1, 8 | 22) => None,
            (Self::Dock1, 9..22) => Some(step - 1),
            (Self::Dock1, _) => Some(step - 2),
        }
    }

    /// Whether it can hand an aircraft to another dock.
    #[must_use]
    pub fn hands_over(self) -> bool {
        self.step(22).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_as_documented() {
        let same = [(0, 0), (7, 7), (9, 8), (21, 20), (23, 21), (25, 23), (35, 33), (45, 43)];
        for (dock2, dock1) in same {
            assert_eq!(Model::Dock2.step(dock2), Some(dock2));
            assert_eq!(Model::Dock1.step(dock2), Some(dock1), "step {dock2}");
        }
        assert_eq!(Model::Dock1.step(22), None);
        assert_eq!(Model::Dock1.step(NO_STEP), Some(NO_STEP));
        assert!(Model::Dock3.hands_over() && !Model::Dock1.hands_over());
    }
}
