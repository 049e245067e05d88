/** The bill of materials: CycloneDX 1.6 in JSON, of the binary and of what is in it. */
import { Enums, Models, Serialize, Spec, Validation } from "@cyclonedx/cyclonedx-library";
import { manifest, type Part, whole } from "./parts.ts";

const version = Spec.Version.v1dot6;

/** Text that is the same for the same commit; `made`: when that was. Throws if it is not valid. */
export async function billOfMaterials(made: Date): Promise<string> {
	const program = whole();
	const bom = new Models.Bom({
		metadata: new Models.Metadata({
			timestamp: made,
			component: component(program, Enums.ComponentType.Application, false),
		}),
	});
	for (const part of program.parts ?? []) {
		const held = component(part, Enums.ComponentType.Library, true);
		bom.components.add(held);
		bom.metadata.component?.dependencies.add(held.bomRef);
	}
	const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
	const text = serializer.serialize(bom, { sortLists: true, space: 2 });
	const problem = await new Validation.JsonStrictValidator(version).validate(text);
	if (problem !== null) throw new Error(`the bill of materials of ${manifest.name} is not valid: ${problem}`);
	return `${text}\n`;
}

function component(part: Part, type: Enums.ComponentType, withParts: boolean): Models.Component {
	const { name, copyright, purl, sha512, licence, parts = [] } = part;
	const result = new Models.Component(type, name, { copyright, bomRef: purl ?? `bun/${name}` });
	if (part.version !== undefined) result.version = part.version;
	if (purl !== undefined) result.purl = purl;
	if (sha512 !== undefined) result.hashes.set(Enums.HashAlgorithm["SHA-512"], sha512);
	result.licenses.add(
		/ /.test(licence) ? new Models.LicenseExpression(licence) : new Models.SpdxLicense(licence),
	);
	if (withParts) for (const each of parts) result.components.add(component(each, type, true));
	return result;
}
