//! Docks, and the audit log.

use dockside_store::{Audit, Dock, Error};

use super::Ledger;

/// Entries of the audit log between two looks at what is too old; twice as many can go at once.
const TRIM_AUDITS: u32 = 1_000;

impl Ledger {
    /// A dock as it was last heard of.
    pub(crate) fn dock(&mut self, dock: &Dock) -> Result<(), Error> {
        self.store.dock(dock)
    }

    /// A dock that is not known any more.
    pub(crate) fn forget_dock(&mut self, gateway: &str) -> Result<(), Error> {
        self.store.forget_dock(gateway)
    }

    /// Somebody did something.
    pub(crate) fn audit(&mut self, entry: &Audit) -> Result<(), Error> {
        self.audits += 1;
        self.store.audit(entry)
    }

    /// Whether enough entries have come to look for what is too old.
    pub(super) fn is_audit_trim_due(&self) -> bool {
        self.audits >= TRIM_AUDITS
    }

    pub(super) fn trim_audit(&mut self, now_ms: u64) -> Result<(), Error> {
        self.audits = 0;
        let (age_ms, rows) = self.audit_bounds;
        self.store.trim_audit(now_ms.saturating_sub(age_ms), rows, 2 * TRIM_AUDITS).map(|_| ())
    }
}
