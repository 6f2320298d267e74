// The stream of changes. It ends when it likes; it comes back by itself, with a snapshot.

import { get } from './api.js'

/** `site` comes every 2 s. Without anything for so long the connection is dead, whatever TCP thinks. */
const DEAD_AFTER_MS = 8_000
/** The first snapshot may be large, and the way to a phone slow. */
const FIRST_WAIT_MS = 30_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 10_000
const KINDS = ['snapshot', 'dock', 'flight_task', 'site']

export class Live {
  /** `on` has `event(kind, data)`, `login(login)`, `live()` and `lost(sinceMs, why)`; times are the browser's. */
  constructor(on) {
    this.on = on
    this.source = null
    this.retry = null
    this.delay = FIRST_RETRY_MS
    this.heardMs = 0
    this.isWanted = false
    this.isLive = false
    this.isOpening = false
    setInterval(() => this.check(), 1000)
    window.addEventListener('online', () => this.now())
    document.addEventListener('visibilitychange', () => this.check())
  }

  start() {
    this.isWanted = true
    this.now()
  }

  stop() {
    this.isWanted = false
    this.isLive = false
    this.close()
  }

  /** Tries at once. */
  now() {
    if (!this.isWanted || this.isLive || this.isOpening) return
    this.close()
    this.open()
  }

  close() {
    this.source?.close()
    this.source = null
    clearTimeout(this.retry)
    this.retry = null
  }

  async open() {
    this.isOpening = true
    try {
      // An EventSource does not tell a 401 from a broker that is gone: this does.
      const login = await get('/api/v1/login')
      if (!this.isWanted) return
      this.on.login(login)
      // Who must log in first starts this again.
      if (this.isWanted) this.listen()
    } catch (error) {
      this.lose(error.message)
    } finally {
      this.isOpening = false
    }
  }

  listen() {
    const source = new EventSource('/api/v1/changes')
    this.source = source
    this.heardMs = Date.now()
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        if (source === this.source) this.hear(kind, event.data)
      })
    }
    // Its own retries know neither a 401 nor a bound: they are made here.
    source.addEventListener('error', () => {
      if (source === this.source) this.lose('The connection to the broker was lost.')
    })
  }

  hear(kind, text) {
    let data
    try {
      data = JSON.parse(text)
    } catch (error) {
      console.error(`a ${kind} that is not JSON`, error)
      return
    }
    this.heardMs = Date.now()
    // Only a snapshot makes what is shown true again.
    if (kind === 'snapshot' && !this.isLive) {
      this.isLive = true
      this.delay = FIRST_RETRY_MS
      this.on.live()
    }
    this.on.event(kind, data)
  }

  check() {
    const patience = this.isLive ? DEAD_AFTER_MS : FIRST_WAIT_MS
    if (this.source && Date.now() - this.heardMs > patience) {
      this.lose('The broker says nothing any more.')
    }
  }

  lose(why) {
    this.close()
    if (!this.isWanted) return
    const since = this.isLive ? this.heardMs : null
    this.isLive = false
    this.on.lost(since, why)
    // Not all pages at once after a restart.
    this.retry = setTimeout(() => this.now(), this.delay * (0.75 + Math.random() / 2))
    this.delay = Math.min(2 * this.delay, LAST_RETRY_MS)
  }
}
