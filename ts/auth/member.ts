/**
 * A member of an object that somebody else made: its own, or one of its class. What all objects have, because somebody gave it to
 * `Object.prototype` (of this realm or another one), is nobody's word about this one.
 */
export function member(object: unknown, name: PropertyKey): unknown {
  if (typeof object !== 'object' || object === null) return undefined
  for (let holder: object | null = object; holder !== null;) {
    const above = Object.getPrototypeOf(holder) as object | null
    // What has nothing above it is the prototype of all objects, unless it is the object itself.
    if (above === null && holder !== object) return undefined
    if (Object.hasOwn(holder, name)) return Reflect.get(object, name) as unknown
    holder = above
  }
  return undefined
}
