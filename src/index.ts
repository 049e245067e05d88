/** The library: mounts an overlay from another Bun program. */
export type { Log } from "./log.ts";
export { type Mounted, mount } from "./mount.ts";
export {
	type ByteString,
	defaultOptions,
	type IdRange,
	type KernelOption,
	type MountOptions,
} from "./options.ts";
