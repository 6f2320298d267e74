// mqtt.js as a program.
//
// mqttjs_client.mjs sub VERSION URL NAME COUNT QOS:FILTER...   prints "ready", then "topic qos payload" a message
// mqttjs_client.mjs pub VERSION URL NAME QOS:TOPIC...          publishes each topic to itself
//
// VERSION is the protocol's level: 4 is MQTT 3.1.1; URL is mqtt:// or ws://. Whatever goes wrong ends it with an exit code that is not 0.

import mqtt from 'mqtt'

const [role, version, url, name, ...rest] = process.argv.slice(2)
const count = role === 'sub' ? Number(rest.shift()) : 0
const topics = rest.map((argument) => {
  const [, qos, topic] = argument.match(/^([012]):(.*)$/)
  return [topic, { qos: Number(qos) }]
})

const client = await mqtt.connectAsync(url, {
  clientId: name,
  protocolVersion: Number(version),
  // A second connection would hide that the first was lost, and with it messages.
  reconnectPeriod: 0,
})
client.on('close', () => {
  if (!client.disconnecting) throw new Error('the connection was lost')
})

async function subscribe() {
  let left = count
  client.on('message', (topic, payload, { qos }) => {
    console.log(`${topic} ${qos} ${payload}`)
    left -= 1
    if (left === 0) client.end()
  })
  for (const [filter, { qos }] of topics) {
    const granted = await client.subscribeAsync(filter, { qos })
    if (granted.length !== 1 || granted[0].qos !== qos) {
      throw new Error(`asked for QoS ${qos}, granted ${JSON.stringify(granted)}`)
    }
  }
  console.log('ready')
}

async function publish() {
  await Promise.all(topics.map(([topic, options]) => client.publishAsync(topic, topic, options)))
  await client.endAsync()
}

await (role === 'sub' ? subscribe() : publish())
