import type { ByteString, MountOptions } from "../options.ts";

/** The part of the options that comes from the environment. */
export type EnvironmentOptions = Pick<MountOptions, "fileWhiteouts" | "passthrough" | "logFile">;

/** Variables and their text, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the variables C and Rust fuse-overlayfs know. As there, a switch counts as set whatever its value,
 * even if that is empty or 0.
 */
export function parseEnvironment(environment: Environment): EnvironmentOptions {
	const logFile = environment.FUSE_OVERLAYFS_DEBUG_LOG;
	return {
		fileWhiteouts: environment.FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT !== undefined,
		passthrough: environment.FUSE_OVERLAYFS_NO_PASSTHROUGH === undefined ? "auto" : "off",
		logFile: logFile ? (Buffer.from(logFile, "utf8").toString("latin1") as ByteString) : undefined,
	};
}
