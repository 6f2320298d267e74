// How things are said: ages, durations, numbers, and text that somebody else chose.

export const NOTHING = '—'

// Characters that are not seen, or that change how others are seen: controls, marks of direction, zero widths,
// line separators, tags. A flight id that holds one must not look like another one.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu

/** Text of a device or client, with what cannot be seen written out as \u{...}. */
export function visible(text, atMost = 120) {
  if (text === null || text === undefined) return NOTHING
  const all = String(text)
  const kept = [...all.slice(0, 2 * atMost)].slice(0, atMost).join('')
  const seen = kept.replace(UNSEEN, (char) => `\\u{${char.codePointAt(0).toString(16)}}`)
  return kept.length < all.length ? `${seen}…` : seen
}

/** "95 s", "3 min", "2 h 5 min", "4 d 1 h": exact enough for who looks at it. */
export function span(ms) {
  if (!Number.isFinite(ms)) return NOTHING
  const s = Math.max(0, Math.floor(ms / 1000))
  if (s < 120) return `${s} s`
  const min = Math.floor(s / 60)
  if (min < 60) return `${min} min`
  const h = Math.floor(min / 60)
  if (h < 24) return `${h} h ${min % 60} min`
  return `${Math.floor(h / 24)} d ${h % 24} h`
}

/** A duration to the second, for flights: "1:05", "1:02:03". */
export function duration(ms) {
  if (!Number.isFinite(ms)) return NOTHING
  const s = Math.max(0, Math.floor(ms / 1000))
  const two = (n) => String(n).padStart(2, '0')
  const [h, min] = [Math.floor(s / 3600), Math.floor(s / 60) % 60]
  return h ? `${h}:${two(min)}:${two(s % 60)}` : `${min}:${two(s % 60)}`
}

/** Clock time of whoever looks at the page; with the date if it is not today. */
export function clockTime(ms, nowMs = Date.now()) {
  const at = new Date(ms)
  if (!Number.isFinite(at.getTime())) return NOTHING
  const two = (n) => String(n).padStart(2, '0')
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':')
  if (at.toDateString() === new Date(nowMs).toDateString()) return time
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`
}

export function number(value, digits = 0) {
  if (!Number.isFinite(value)) return NOTHING
  return value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })
}

export function rate(value) {
  return number(value, value >= 100 ? 0 : 1)
}

export function latency(us) {
  if (!Number.isFinite(us)) return NOTHING
  if (us < 1000) return `${number(us)} µs`
  return us < 1e6 ? `${number(us / 1000, 1)} ms` : `${number(us / 1e6, 1)} s`
}

export function clockOffset(ms) {
  if (!Number.isFinite(ms)) return NOTHING
  const sign = ms < 0 ? '−' : '+'
  const size = Math.abs(ms)
  return size < 60_000 ? `${sign}${number(size / 1000, 1)} s` : `${sign}${span(size)}`
}

/** A status as it is said, with spaces. */
export function statusText(status) {
  return status === null || status === undefined ? 'unknown' : visible(status, 40).replaceAll('_', ' ')
}

/** A code with what it means, if that is known. */
export function codeText(code, text) {
  if (code === null || code === undefined) return NOTHING
  return text ? `${visible(code)} ${visible(text)}` : visible(code)
}

/** What it is doing: the phase, and the step by its name or its number. */
export function stepText(task) {
  const step = task.step_name ?? (Number.isFinite(task.step) ? `step ${task.step}` : null)
  const parts = [task.phase, step].filter(Boolean).map((part) => visible(part, 60))
  return parts.length ? parts.join(': ') : NOTHING
}

export function waypointText(task) {
  if (!Number.isFinite(task.waypoint)) return NOTHING
  // 65535: there is none yet.
  return task.wayline && task.wayline !== 65535 ? `${task.waypoint} (wayline ${task.wayline})` : `${task.waypoint}`
}

export function modelText(model) {
  if (!model) return NOTHING
  return visible(model.name ?? `type ${model.domain}-${model.type}-${model.sub_type}`, 40)
}

export function many(count, one, more = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : more}`
}
