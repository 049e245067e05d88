/**
 * The inode numbers users see. Where all layers lie on one file system these are the underlying ones. Otherwise
 * the number of the layer's file system, in order of the layers, goes into the top byte, as kernel overlayfs does
 * for xino: the same at every mount of the same layers.
 */
import type { Layer } from "../layers/layer.ts";
import { mix } from "./name.ts";

const TOP_BYTE_SHIFT = 24;

export class InodeNumbers {
	/** Result of {@link translate}, as two halves: a number may use all 64 bits. */
	low = 0;
	high = 0;
	/** For each layer the number of its file system; all 0 if there is only one. */
	private readonly devices: number[];
	private readonly to32Bits: boolean;

	constructor(layers: readonly Layer[], to32Bits: boolean) {
		const known: string[] = [];
		this.devices = layers.map((layer) => {
			if (!known.includes(layer.device)) known.push(layer.device);
			return known.indexOf(layer.device);
		});
		this.to32Bits = to32Bits;
	}

	/** Sets `low` and `high` to the number shown for inode `low`, `high` of layer `layer`. */
	translate(layer: number, low: number, high: number): void {
		const device = this.devices[layer]!;
		if (device === 0) {
			this.low = low;
			this.high = high;
		} else if (high >>> TOP_BYTE_SHIFT === 0 && device < 128) {
			this.low = low;
			this.high = (high | (device << TOP_BYTE_SHIFT)) >>> 0;
		} else {
			// The number leaves no room: spread over the upper half of the range, which the others do not use.
			this.low = (low ^ mix(high + device)) >>> 0;
			this.high = (mix(high ^ Math.imul(device, 0x9e3779b1)) | 0x80000000) >>> 0;
		}
		if (this.to32Bits) this.truncate();
	}

	/** 0 means "no inode" to some programs, and 1 is the root's. */
	private truncate(): void {
		const folded = this.high === 0 ? this.low : (this.low ^ mix(this.high)) >>> 0;
		this.low = folded < 2 ? folded + 2 : folded;
		this.high = 0;
	}
}
