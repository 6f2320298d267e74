// The broker's clock. A browser's own may be wrong by hours, and ages are told in the broker's.

let ahead = 0

/** The broker said what time it is. */
export function learn(nowMs) {
  if (Number.isFinite(nowMs)) ahead = nowMs - Date.now()
}

export function serverNow() {
  return Date.now() + ahead
}
