// The network between the browser and the broker, which can be cut.

import net from 'node:net'

export class Cable {
  constructor(base) {
    const { hostname, port } = new URL(base)
    this.sockets = new Set()
    this.isCut = false
    this.isStuck = false
    this.server = net.createServer((near) => {
      if (this.isCut) return near.destroy()
      const far = net.connect(Number(port) || 80, hostname)
      for (const [from, to] of [[near, far], [far, near]]) {
        this.sockets.add(from)
        // Without bytes and without an end: a router that was switched off.
        from.on('data', (bytes) => this.isStuck || to.write(bytes))
        from.on('error', () => {})
        from.on('close', () => {
          this.sockets.delete(from)
          to.destroy()
        })
      }
    })
  }

  async plug() {
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done))
    return `http://127.0.0.1:${this.server.address().port}`
  }

  cut() {
    this.isCut = true
    this.reset()
  }

  stick() {
    this.isStuck = true
  }

  mend() {
    if (this.isStuck) this.reset()
    this.isCut = this.isStuck = false
  }

  reset() {
    for (const socket of this.sockets) socket.destroy()
  }

  close() {
    this.reset()
    return new Promise((done) => this.server.close(done))
  }
}
