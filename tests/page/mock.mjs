// A broker that only plays the page's API, from a script. As a program it plays a busy night:
//
//   node mock.mjs [PORT] [--login]     the user is "anna", the password "secret"

import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { night, site } from './scenes.mjs'

const PAGE = new URL('../../crates/broker/src/admin/page/', import.meta.url)
const TYPES = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8' }
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

export class Mock {
  /** `login` is `{ user, password, role }` if one is needed. */
  constructor({ docks = [], tasks = [], refusals = [], connected = [], site: said = site(), login = null } = {}) {
    Object.assign(this, { refusals, connected, said, login, throttled: false, isQuiet: false, asked: [] })
    this.docks = new Map(docks.map((dock) => [dock.dock, dock]))
    this.tasks = new Map(tasks.map((task) => [`${task.dock}/${task.task}`, task]))
    this.histories = new Map()
    this.streams = new Set()
    /** Who looks on while messages pass; `refusal` is `{ status, text }` if nobody may now. */
    this.tails = new Set()
    this.refusal = null
    this.sessions = new Set()
    this.server = http.createServer((request, response) => {
      this.answer(request, response).catch((error) => {
        console.error(error)
        response.writeHead(500).end()
      })
    })
  }

  async listen(port = 0) {
    await new Promise((done) => this.server.listen(port, '127.0.0.1', done))
    this.beat = setInterval(() => this.setSite({}), 2000)
    return `http://127.0.0.1:${this.server.address().port}`
  }

  close() {
    clearInterval(this.beat)
    this.server.closeAllConnections()
    return new Promise((done) => this.server.close(done))
  }

  /** An event to everybody who listens. */
  say(kind, data) {
    if (this.isQuiet) return
    for (const stream of this.streams) stream.write(event(kind, data))
  }

  /** Messages to everybody who looks on. */
  pass(...messages) {
    this.sayTails(messages.map((one) => event('message', one)).join(''))
  }

  leaveOut(messages, batches = 0) {
    this.sayTails(event('left_out', { messages, batches }))
  }

  sayTails(events) {
    for (const stream of this.tails) stream.write(events)
  }

  setTask(task) {
    this.tasks.set(`${task.dock}/${task.task}`, task)
    this.say('flight_task', task)
  }

  setDock(dock) {
    this.docks.set(dock.dock, dock)
    this.say('dock', dock)
  }

  setSite(of) {
    this.said = { ...this.said, ...of }
    this.say('site', { ...this.said, now_ms: this.said.now_ms_ahead ? Date.now() + this.said.now_ms_ahead : Date.now() })
  }

  async answer(request, response) {
    const url = new URL(request.url, 'http://mock')
    const path = url.pathname
    this.asked.push(`${request.method} ${request.url}`)
    if (!path.startsWith('/api/')) return this.file(path, response)
    if (path === '/api/v1/login' && request.method === 'POST') return this.logIn(request, response)
    const isIn = !this.login || this.sessions.has(request.headers.cookie)
    const who = { is_needed: Boolean(this.login), user: isIn ? this.login?.user ?? null : null, role: isIn ? this.login?.role ?? null : null }
    if (path === '/api/v1/login') return json(response, who)
    if (!isIn) return response.writeHead(401).end('log in first\n')
    if (path === '/api/v1/logout') {
      this.sessions.delete(request.headers.cookie)
      return response.writeHead(204).end()
    }
    if (path === '/api/v1/changes') return this.stream(response)
    if (path === '/api/v1/tail') return this.tail(url.searchParams.get('filter'), response)
    if (path === '/api/v1/docks') return json(response, { docks: [...this.docks.values()] })
    if (path === '/api/v1/flight-tasks') return json(response, { flight_tasks: [...this.tasks.values()] })
    if (path === '/api/v1/why') return this.why(url.searchParams.get('q'), response)
    const [, dock, task] = path.match(/^\/api\/v1\/flight-tasks\/([^/]+)\/([^/]+)$/) ?? []
    if (dock) return this.one(`${decodeURIComponent(dock)}/${decodeURIComponent(task)}`, response)
    return response.writeHead(404).end('nothing here\n')
  }

  async file(path, response) {
    const name = path === '/' ? 'index.html' : path === '/page.css' ? 'page.css' : path.match(/^\/page\/(\w+\.js)$/)?.[1]
    if (!name) return response.writeHead(404).end()
    const body = await readFile(new URL(name, PAGE))
    response.writeHead(200, { 'content-type': TYPES[name.split('.').pop()], 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff' })
    response.end(body)
  }

  stream(response) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const snapshot = { docks: [...this.docks.values()], flight_tasks: [...this.tasks.values()] }
    response.write(`: keep-alive\n\nevent: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`)
    this.streams.add(response)
    response.on('close', () => this.streams.delete(response))
    this.setSite({})
  }

  tail(filter, response) {
    if (this.refusal) return response.writeHead(this.refusal.status).end(this.refusal.text)
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(event('started', { filter, messages_per_s: 200, bytes_per_s: 524288 }))
    this.tails.add(response)
    response.on('close', () => this.tails.delete(response))
  }

  why(q, response) {
    const is = (text) => text?.toLowerCase() === q.toLowerCase()
    const names = ({ client_id, user, address }) => is(client_id) || is(user) || is(address) || is(address.replace(/:\d+$/, ''))
    json(response, { refusals: this.refusals.filter((one) => !q || names(one)), connected: q ? this.connected.filter(names) : [] })
  }

  one(key, response) {
    const task = this.tasks.get(key)
    if (!task) return response.writeHead(404).end('no flight task of this dock is known by this name\n')
    json(response, { flight_task: task, history: this.histories.get(key) ?? history(task) })
  }

  async logIn(request, response) {
    let body = ''
    for await (const part of request) body += part
    if (this.throttled) return response.writeHead(429, { 'retry-after': '30' }).end()
    const { user, password } = JSON.parse(body)
    if (user !== this.login.user || password !== this.login.password) return response.writeHead(401).end()
    const cookie = `session=${Math.random()}`
    this.sessions.add(cookie)
    response.setHeader('set-cookie', `${cookie}; HttpOnly; SameSite=Strict; Path=/`)
    json(response, { is_needed: true, user, role: this.login.role })
  }
}

const event = (kind, data) => `event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`

function json(response, body) {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function history(task) {
  const said = (n) => ({
    tid: `t-${n}`, bid: 'b-1', method: 'flighttask_progress', need_reply: 1, gateway: task.dock, timestamp: task.last_ms - n * 9000,
    data: { result: 0, output: { status: task.status, progress: { current_step: task.step ?? 28, percent: Math.max(0, (task.percent ?? 0) - n * 3) }, ext: { flight_id: task.task, current_waypoint_index: Math.max(0, 3 - n) } } },
  })
  return Array.from({ length: Math.min(task.events, 12) }, (_, n) => ({ received_ms: task.last_ms - n * 9000, event: said(n) }))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { tasks, ...rest } = night()
  const login = process.argv.includes('--login') ? { user: 'anna', password: 'secret', role: 'viewer' } : null
  const mock = new Mock({ tasks, ...rest, login })
  console.log(await mock.listen(Number(process.argv[2]) || 0))
  setInterval(() => {
    for (const task of mock.tasks.values()) {
      if (task.is_over || task.is_silent || task.percent === null) continue
      const percent = task.percent >= 100 ? 0 : Math.min(100, task.percent + 0.5)
      mock.setTask({ ...task, percent, last_ms: Date.now(), events: task.events + 1 })
    }
  }, 1000)
}
