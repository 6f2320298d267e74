// A client that publishes at QoS 0, and does nothing else: MQTT 3.1.1 in bytes, as a package for it would be one more.

import { once } from 'node:events'
import net from 'node:net'

const CONNECT = 0x10
const PUBLISH = 0x30
const DISCONNECT = Buffer.from([0xe0, 0])
const CLEAN_SESSION = 0x02

/** Connected to `address`, "host:port", as `client`: `publish(topic, payload)`, `end()`. */
export async function publisher(address, client) {
  const [, host, port] = address.match(/^(.*):(\d+)$/)
  const socket = net.connect(Number(port), host)
  socket.write(packet(CONNECT, text('MQTT'), Buffer.from([4, CLEAN_SESSION, 0, 60]), text(client)))
  const [connack] = await once(socket, 'data')
  if (connack[3] !== 0) throw new Error(`not let in: ${connack.toString('hex')}`)
  return {
    publish: (topic, payload) => socket.write(packet(PUBLISH, text(topic), Buffer.from(payload))),
    end: () => socket.end(DISCONNECT),
  }
}

function packet(kind, ...parts) {
  const body = Buffer.concat(parts)
  const length = []
  let rest = body.length
  do {
    length.push((rest % 128) + (rest >= 128 ? 128 : 0))
    rest = Math.floor(rest / 128)
  } while (rest > 0)
  return Buffer.concat([Buffer.from([kind, ...length]), body])
}

function text(of) {
  const bytes = Buffer.from(of)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}
