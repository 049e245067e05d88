/** What a directory's listing must say, straight from the rules of overlays, with nothing remembered. */
import { DT_DIR } from "../../src/native/layout.ts";

/** One layer's directory: its objects, `DT_*` or a whiteout device, and the names it has `.wh.` files for. */
export interface ModelLayer {
	readonly objects: Map<string, number | "whiteout">;
	readonly files: Set<string>;
}

export class ListingModel {
	/** Topmost first; layer 0 is the upper one. */
	readonly layers: readonly ModelLayer[];

	/** Directories of the upper layer that were made anew, and hide what is below them. */
	private readonly opaque = new Set<string>();
	/** Names of the upper layer with a `.wh.` file beside them: it goes on hiding, so a removal must leave a whiteout. */
	private readonly guarded: ReadonlySet<string>;

	constructor(layers: readonly ModelLayer[]) {
		this.layers = layers;
		const [upper] = layers;
		this.guarded = new Set([...(upper?.files ?? [])].filter((name) => upper?.objects.has(name)));
	}

	private isBelow(name: string): boolean {
		return this.guarded.has(name) || this.topmost(name, 1) !== undefined;
	}

	/** The topmost layer from `first` on that shows the name. */
	topmost(name: string, first = 0): { layer: number; kind: number } | undefined {
		for (let layer = first; layer < this.layers.length; layer++) {
			const kind = this.layers[layer]?.objects.get(name);
			if (kind === "whiteout") return undefined;
			if (kind !== undefined) return { layer, kind };
			if (this.layers[layer]?.files.has(name)) return undefined;
		}
		return undefined;
	}

	visible(names: readonly string[]): string[] {
		return names.filter((name) => this.topmost(name) !== undefined);
	}

	/** The layers that a directory is merged of; of anything else the topmost. */
	private contributing(name: string, top: { layer: number; kind: number }): number[] {
		const found = [top.layer];
		if (top.kind !== DT_DIR) return found;
		for (let layer = top.layer; !this.layers[layer]?.files.has(name); layer = found.at(-1)!) {
			const next = this.topmost(name, layer + 1);
			if (next?.kind !== DT_DIR) break;
			found.push(next.layer);
		}
		return found;
	}

	describe(name: string): unknown {
		const top = this.topmost(name);
		if (top === undefined) return undefined;
		const layers = this.contributing(name, top);
		return {
			layer: top.layer,
			type: top.kind,
			layers: this.opaque.has(name) ? [top.layer] : layers,
			merged: !this.opaque.has(name) && layers.length > 1,
			below: top.layer === 0 && this.isBelow(name),
		};
	}

	create(name: string, kind: number): void {
		this.layers[0]?.objects.set(name, kind);
		this.layers[0]?.files.delete(name);
		if (kind === DT_DIR) this.opaque.add(name);
	}

	raise(name: string): void {
		const top = this.topmost(name);
		if (top !== undefined) this.layers[0]?.objects.set(name, top.kind);
	}

	/** Removes a visible name; tells whether a whiteout takes its place, and which. */
	remove(name: string, asFile: boolean): { whiteout: boolean; isFile: boolean } {
		const upper = this.layers[0]!;
		upper.objects.delete(name);
		upper.files.delete(name);
		this.opaque.delete(name);
		const whiteout = this.isBelow(name);
		if (whiteout && asFile) upper.files.add(name);
		else if (whiteout) upper.objects.set(name, "whiteout");
		return { whiteout, isFile: whiteout && asFile };
	}
}
