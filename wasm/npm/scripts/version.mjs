// Says whether this Node is new enough to build the package; whoever only uses it may have an older one.
const [major] = process.versions.node.split(".").map(Number);
if (major < 20) {
  console.error(`this is Node ${process.versions.node}`);
  process.exit(1);
}
