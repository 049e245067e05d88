/**
 * Data-only layers: nothing in them has a name in the mount. Files of the layers above that have no data of their own
 * (metacopies.ts) have it there, at the path that their redirect says, in the first of these layers that has it.
 * Source: Linux fs/overlayfs/namei.c, ovl_lookup_data_layers.
 */

import { DT_REG, ENAMETOOLONG, ENOENT, O_PATH, statx } from "../../native/layout.ts";
import { check, fail } from "../../native/libc/errno.ts";
import { close } from "../../native/libc/file.ts";
import { statDescriptor } from "../../native/libc/metadata.ts";
import { kindOf, sizeOf } from "../../native/libc/stat.ts";
import { getNumber, type Int64, reserve } from "../../native/memory.ts";
import type { ByteString } from "../../options.ts";
import { isNotDirectory, type Layer } from "../layers/layer.ts";

const STAT = reserve(statx.sizeof);

/** A regular file in a layer. */
export interface Data {
	readonly layer: Layer;
	readonly size: Int64;
	/** Of 512 bytes. */
	readonly blocks: number;
}

/** The first of the layers with a regular file at `path`; undefined: none has one. Throws what opening may. */
export function findData(layers: readonly Layer[], path: ByteString): Data | undefined {
	for (const layer of layers) {
		const fd = layer.openPath(path, O_PATH);
		if (fd < 0) {
			if (fd !== -ENOENT && fd !== -ENAMETOOLONG && !isNotDirectory(fd)) fail(-fd);
			continue;
		}
		try {
			check(statDescriptor(fd, STAT));
		} finally {
			close(fd);
		}
		if (kindOf(STAT) !== DT_REG) continue;
		return { layer, size: sizeOf(STAT), blocks: getNumber(STAT + statx.stxBlocks) };
	}
	return undefined;
}
