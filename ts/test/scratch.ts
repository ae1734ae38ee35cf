import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Database, type ExportedSnapshot, KiteDbError, type OpenOptions } from '@kitedb/core'

/** What a test has open. */
const open = new WeakMap<TestContext, Database[]>()

/** A folder that goes with the test, once what it has open is closed: a close tells of files that are gone. */
export function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'kitedb-ts-'))
  t.after(() => {
    for (const db of open.get(t)?.splice(0).reverse() ?? []) db.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

/** A database in such a folder, that is closed with the test. */
export function opened(t: TestContext, path: string, options: OpenOptions = {}): Database {
  const db = Database.open(path, options)
  open.set(t, [...(open.get(t) ?? []), db])
  return db
}

/** A primary with that many commits. */
export function primary(t: TestContext, folder: string, commits: number, options: OpenOptions = {}): Database {
  const db = opened(t, join(folder, 'primary.kitedb'), { replicationRole: 'primary', ...options })
  for (let n = 1; n <= commits; n++) db.createNode(`node ${n}`)
  return db
}

/** Images of this primary that were handed out, and whether one of them can still be read. */
export function imagesOf(t: TestContext, db: Database): { handedOut: ExportedSnapshot[]; areHeld: () => boolean } {
  const handedOut: ExportedSnapshot[] = []
  const original = db.primaryExportSnapshotAsync
  t.mock.method(db, 'primaryExportSnapshotAsync', async (...args: Parameters<typeof original>) => {
    const image = await original.apply(db, args)
    handedOut.push(image)
    return image
  })
  const isHeld = (image: ExportedSnapshot): boolean => {
    try {
      return image.read(0, 1).length === 1
    } catch (error) {
      if (error instanceof KiteDbError && error.code === 'FINISHED') return false
      throw error
    }
  }
  return { handedOut, areHeld: () => handedOut.some(isHeld) }
}
