// What SARIF's schema has against a report: node sarif.js NODE_MODULES REPORT
const { readFileSync } = require('fs');
const [, , modules, report] = process.argv;
const Ajv = require(`${modules}/ajv`);
const schema = JSON.parse(readFileSync(`${modules}/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json`, 'utf8'));
const ajv = new Ajv({ schemaId: 'auto', allErrors: true, unknownFormats: 'ignore' });
ajv.addMetaSchema(require(`${modules}/ajv/lib/refs/json-schema-draft-04.json`));
const validate = ajv.compile(schema);
if (!validate(JSON.parse(readFileSync(report, 'utf8')))) {
  for (const error of validate.errors) console.log(`${error.dataPath}: ${error.message}`);
}
