import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'

export interface Ended {
  code: number | null
  said: string
}

/** A template that was started as its users start it, on a port that is free. */
export class Started {
  private constructor(
    readonly url: string,
    readonly process: ChildProcess,
    readonly said: () => string,
  ) {}

  static async start(t: TestContext, template: string, env: Record<string, string>): Promise<Started> {
    const { child, said } = run(template, env)
    t.after(() => child.kill('SIGKILL'))
    const exited = once(child, 'exit').then(() => undefined)
    for (;;) {
      const url = /^listening on (\S+)$/m.exec(said())?.[1]
      if (url !== undefined) return new Started(url, child, said)
      const more = await Promise.race([once(child.stdout ?? child, 'data'), exited])
      if (more === undefined) throw new Error(`${template} ended: ${said()}`)
    }
  }

  /** Ends it as an operator does. */
  async end(): Promise<number | null> {
    const exited = once(this.process, 'exit')
    this.process.kill('SIGTERM')
    return ((await exited) as [number | null])[0]
  }
}

/** Runs a template that is to end by itself. */
export async function ended(t: TestContext, template: string, env: Record<string, string>): Promise<Ended> {
  const { child, said } = run(template, env)
  t.after(() => child.kill('SIGKILL'))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, said: said() }
}

function run(template: string, env: Record<string, string>): { child: ChildProcess; said: () => string } {
  const file = new URL(`../build/templates/replication_adapter_${template}.js`, import.meta.url)
  const { PATH = '', TMPDIR = '/tmp' } = process.env
  const child = spawn(process.execPath, [file.pathname], {
    env: { PATH, TMPDIR, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (said += piece.toString()))
  return { child, said: () => said }
}
