// Requests to the broker.

const TIMEOUT_MS = 10_000

export class Failed extends Error {
  constructor(message, status = 0, retryAfter = null) {
    super(message)
    this.status = status
    this.retryAfter = retryAfter
  }
}

let onLoginNeeded = () => {}

/** What is done when the broker no longer knows who this is. */
export function whenLoginNeeded(then) {
  onLoginNeeded = then
}

async function ask(path, options) {
  const given = options.signal
  const control = new AbortController()
  const abort = () => control.abort()
  given?.addEventListener('abort', abort)
  const timer = setTimeout(abort, TIMEOUT_MS)
  let response
  try {
    response = await fetch(path, { ...options, signal: control.signal, cache: 'no-store', credentials: 'same-origin' })
  } catch (error) {
    if (given?.aborted) throw error
    throw new Failed(control.signal.aborted ? 'The broker does not answer.' : 'The broker cannot be reached.')
  } finally {
    clearTimeout(timer)
  }
  if (!response.ok) {
    const text = (await response.text().catch(() => '')).trim()
    throw new Failed(text || `The broker answered ${response.status}.`, response.status, response.headers.get('retry-after'))
  }
  return response
}

/** An answer that goes on for as long as `signal` lets it. */
export async function stream(path, signal) {
  try {
    return await ask(path, { signal })
  } catch (error) {
    if (error.status === 401) onLoginNeeded()
    throw error
  }
}

export async function get(path, signal) {
  return (await stream(path, signal)).json()
}

/** The answer's JSON, or null if it has none. A 401 is the caller's. */
export async function post(path, body) {
  const headers = { 'content-type': 'application/json' }
  const response = await ask(path, { method: 'POST', headers, body: JSON.stringify(body) })
  return response.status === 204 ? null : response.json().catch(() => null)
}
