import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Database, type OpenOptions } from '@kitedb/core'

/** A folder that goes with the test. */
export function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'kitedb-ts-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A database that is closed with the test. */
export function opened(t: TestContext, path: string, options: OpenOptions = {}): Database {
  const db = Database.open(path, options)
  t.after(() => db.close())
  return db
}

/** A primary with that many commits. */
export function primary(t: TestContext, folder: string, commits: number, options: OpenOptions = {}): Database {
  const db = opened(t, join(folder, 'primary.kitedb'), { replicationRole: 'primary', ...options })
  for (let n = 1; n <= commits; n++) db.call('commit', `node ${n}`)
  return db
}
