// Docks and flight tasks as the broker tells them.

export function task(of) {
  const now = Date.now()
  return {
    dock: 'SIMDOCK1', task: '65db5b0f-0c05-4a2c-bb4f-d8e8b2a5f1c3', status: 'in_progress', is_over: false,
    step: 25, step_name: 'wayline executing', phase: 'flying', percent: 42, waypoint: 3, wayline: 0,
    mission_state: 6, mission_state_name: 'executing', media_count: null, break_reason: null, break_reason_text: null,
    result: 0, result_text: null, track: null, device_ms: now - 900, first_ms: now - 325_000, last_ms: now - 800,
    events: 12, late: 0, reopened: 0, is_silent: false, ...of,
  }
}

export function finished(of) {
  return task({ status: 'ok', is_over: true, step: null, step_name: null, phase: null, percent: 100, media_count: 87, ...of })
}

export function dock(of) {
  const now = Date.now()
  return {
    dock: 'SIMDOCK1', is_online: true, is_silent: false, model: { domain: '3', type: 2, sub_type: 0, name: 'Dock 2' },
    firmware: '10.01.16.04', aircraft: ['SIMDRONE1'], first_ms: now - 86_400_000, last_ms: now - 800,
    clock_offset_ms: -240, is_clock_off: false, events: 120, replies: 118, flight_task: null, ...of,
  }
}

export function site(of) {
  return {
    now_ms: Date.now(), version: '0.1.0', connections: 12, messages_per_s: 120.5, events_per_s: 3, replies_per_s: 3,
    reply_p50_us: 80, reply_p99_us: 140, is_ready: true, conditions: [], ...of,
  }
}

export function refusal(of) {
  const now = Date.now()
  return {
    time_ms: now - 42_000, first_ms: now - 600_000, count: 14, address: '192.0.2.7:40000', client_id: 'SIMDOCK9', user: 'SIMDOCK9',
    topic: null, stage: 'password', reason: 'the password is wrong', remedy: 'set it with dockside passwd, and enter the same at the dock', ...of,
  }
}

/** A message as it passes; its payload is `text`, or `hex` for what is no text. */
export function message(of) {
  const { text = of?.hex ? null : '{"method":"osd"}', hex = null } = of ?? {}
  const bytes = text === null ? hex.length / 2 : Buffer.byteLength(text)
  return {
    time_ms: Date.now(), client: 'SIMDOCK1', is_broker: false, qos: 1, retain: false, topic: 'thing/product/SIMDOCK1/events',
    bytes, is_cut: false, text, hex, ...of,
  }
}

/** A busy night: every state a row can be in. */
export function night() {
  const now = Date.now()
  const id = (n) => `65db5b0f-0c05-4a2c-bb4f-d8e8b2a5f1${String(n).padStart(2, '0')}`
  const running = [
    task({ task: id(1) }),
    task({ dock: 'SIMDOCK2', task: id(2), step: 5, step_name: 'waiting for RTK', phase: 'preparing', percent: 4, waypoint: null, first_ms: now - 41_000 }),
    task({ dock: 'SIMDOCK3', task: id(3), percent: 71.5, waypoint: 18, wayline: 1, first_ms: now - 1_510_000, last_ms: now - 95_000, is_silent: true }),
    task({ dock: 'SIMDOCK5', task: id(4), status: 'paused', step: 4711, step_name: null, phase: null, percent: null, waypoint: null, first_ms: now - 3_900_000 }),
  ]
  const over = [
    finished({ dock: 'SIMDOCK4', task: id(10), first_ms: now - 4_000_000, last_ms: now - 2_900_000 }),
    finished({ dock: 'SIMDOCK2', task: id(11), status: 'failed', percent: 12, result: 314004, result_text: 'the wind is too strong', media_count: 0, first_ms: now - 8_000_000, last_ms: now - 7_700_000 }),
    finished({ dock: 'SIMDOCK1', task: id(12), status: 'partially_done', percent: 64, break_reason: 514, break_reason_text: 'the battery is low', media_count: 41, first_ms: now - 12_000_000, last_ms: now - 10_900_000 }),
    finished({ dock: 'SIMDOCK1', task: id(13), status: 'canceled', percent: 30, media_count: 11, first_ms: now - 92_000_000, last_ms: now - 91_000_000 }),
  ]
  for (let n = 14; n < 32; n++) {
    over.push(finished({ dock: `SIMDOCK${n % 5 + 1}`, task: id(n), media_count: 40 + n, first_ms: now - n * 8_000_000, last_ms: now - n * 8_000_000 + 1_130_000 }))
  }
  const docks = [
    dock({ flight_task: running[0] }),
    dock({ dock: 'SIMDOCK2', aircraft: ['SIMDRONE2'], flight_task: running[1], clock_offset_ms: 45_200, is_clock_off: true }),
    dock({ dock: 'SIMDOCK3', aircraft: ['SIMDRONE3'], flight_task: running[2], is_silent: true, last_ms: now - 95_000 }),
    dock({ dock: 'SIMDOCK4', aircraft: ['SIMDRONE4'], flight_task: over[0], is_online: false, is_silent: true, last_ms: now - 9_000_000, clock_offset_ms: -12_400, is_clock_off: true }),
    dock({ dock: 'SIMDOCK5', aircraft: ['SIMDRONE5', 'SIMDRONE6'], model: { domain: '3', type: 3, sub_type: 0, name: 'Dock 3' }, firmware: '14.00.05.03', flight_task: running[3] }),
    dock({ dock: 'SIMDOCK10', aircraft: [], model: { domain: '3', type: 99, sub_type: 0, name: null }, firmware: null, clock_offset_ms: null, events: 0, replies: 0 }),
  ]
  const conditions = [
    { name: 'DockSilent', severity: 'warning', text: 'SIMDOCK3 has been silent for 95 s' },
    { name: 'DockOffline', severity: 'critical', text: 'SIMDOCK4 has been offline for 9000 s' },
    { name: 'DockClockOff', severity: 'warning', text: 'the clock of SIMDOCK2 is 45.2 s ahead; docks refuse tasks at 30 s' },
  ]
  const refusals = [
    refusal(),
    refusal({ client_id: 'mission-planner', user: 'planner', address: '192.0.2.40:51120', stage: 'acl', topic: 'thing/product/SIMDOCK1/events', count: 1, time_ms: now - 240_000, reason: 'it may not publish this', remedy: 'add a rule for this user, or publish as the dock' }),
    refusal({ client_id: null, user: null, address: '198.51.100.3:55011', stage: 'tls', count: 3, time_ms: now - 3_000_000, reason: 'the client does not trust the certificate', remedy: 'give the dock the certificate of your authority' }),
  ]
  return { docks, tasks: [...running, ...over], site: site({ conditions }), refusals }
}
