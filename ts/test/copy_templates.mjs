// Brings the templates where a user would have them: into a project that has the packages which they import.
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs'

const [from, to] = [new URL('../../docs/examples/', import.meta.url), new URL('../build/templates/', import.meta.url)]
rmSync(to, { recursive: true, force: true })
mkdirSync(to, { recursive: true })
for (const name of readdirSync(from)) {
  if (name.startsWith('replication_adapter_') && name.endsWith('.ts')) cpSync(new URL(name, from), new URL(name, to))
}
