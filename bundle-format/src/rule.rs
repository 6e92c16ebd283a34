//! The rules a bundle must keep, each with its stable code and exit status.
//!
//! A device's history file and its operators' scripts refer to the codes, so a
//! code is never reused and never changes its meaning. `docs/security.md`
//! prints the same table; a test compares the two.

/// Declares [`Rule`] and its table in one place, so that none can be forgotten.
macro_rules! rules {
    ($($name:ident = $code:literal, $exit:literal, $summary:literal;)*) => {
        /// One rule of the bundle format or of the handling of keys.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule {
            $(#[doc = $summary] $name,)*
        }

        impl Rule {
            /// Every rule, in the order of the codes.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];

            /// The stable code, for example `E201`.
            pub fn code(self) -> &'static str {
                match self { $(Rule::$name => $code,)* }
            }

            /// The exit status of a program that stops because of this rule.
            ///
            /// 2 usage, 10 invalid bundle, 11 signature or trust, 12 policy,
            /// 13 incompatible, 14 resource limit, 20 input or output.
            pub fn exit_code(self) -> u8 {
                match self { $(Rule::$name => $exit,)* }
            }

            /// What the rule demands, as one phrase.
            pub fn summary(self) -> &'static str {
                match self { $(Rule::$name => $summary,)* }
            }
        }
    };
}

rules! {
    Io = "E101", 20, "the file can be read or written";
    RegularFile = "E102", 10, "a bundle is a regular file, reached without a symbolic link";
    ArchiveSize = "E103", 14, "the archive is within the size limit";
    EntryCount = "E104", 14, "the archive holds at most the limit of entries";
    EntrySize = "E105", 14, "an entry held in memory is within its size limit";
    SignatureCount = "E106", 14, "the archive holds at most the limit of signatures";

    PublicKeyPem = "E151", 2, "a public key is a P-256 SPKI in PEM form";
    PrivateKeyPem = "E152", 2, "a private key is a P-256 PKCS#8 in PEM form";
    PassphraseMissing = "E153", 2, "an encrypted private key comes with a passphrase";
    PassphraseWrong = "E154", 2, "the passphrase opens the private key";
    PassphraseEmpty = "E155", 2, "a private key is not encrypted with an empty passphrase";

    BuildEntry = "E161", 2, "a writer adds every entry once, under a free name";
    BuildChanged = "E162", 20, "a source file stays the same while it is packed";

    EndRecord = "E201", 10, "the archive ends with its one end record";
    DirectoryBounds = "E202", 10, "the central directory reaches exactly to the end record";
    CentralRecord = "E203", 10, "every central record can be read";
    EntryName = "E204", 10, "entry names keep the grammar";
    EntryOrder = "E205", 10, "entries are unique and in the fixed order";
    EntryNesting = "E206", 10, "no entry is also the folder of another";
    DirectoryBytes = "E207", 10, "the central directory equals its re-encoding";
    LocalHeader = "E208", 10, "every local header equals its re-encoding";
    Checksum = "E209", 10, "the content of an entry has the CRC-32 of its header";
    ManifestEntry = "E210", 10, "the archive holds `manifest.json`";

    SignaturePresent = "E301", 11, "the bundle carries a signature";
    SignatureJson = "E302", 11, "a signature file is canonical JSON";
    SignatureSchema = "E303", 11, "a signature file has exactly the fields and constants of the envelope";
    SignatureBase64 = "E304", 11, "base64 is padded, with zero trailing bits";
    SignatureDer = "E305", 11, "a signature is DER that re-encodes to itself";
    SignatureLowS = "E306", 11, "a signature has the lower of the two values of s";
    KeyKnown = "E307", 11, "every signature is by a trusted key";
    KeyHint = "E308", 11, "the key hint is the digest of the key's PEM text";
    SignatureName = "E309", 11, "a signature file is named after its key id";
    SignatureValid = "E310", 11, "the signature is valid over the statement";
    StatementSchema = "E321", 11, "the statement has exactly the fields and constants of the format";
    ResourceOrder = "E322", 11, "the resources of the statement are sorted and unique";
    SubjectDigest = "E323", 11, "the subject digest is that of the resources";
    ManifestDigest = "E324", 11, "`manifest.json` has the signed digest";
    ResourceSet = "E325", 11, "the signed resources are the manifest and its files";

    TrustJson = "E351", 11, "a trust file holds lines of canonical JSON, each with its end";
    TrustEnvelope = "E352", 11, "a line of a trust file has exactly the fields and constants of the envelope";
    TrustSchema = "E353", 11, "a trust document is of format 1 and keeps its schema";
    TrustOrder = "E354", 11, "lists of a trust file are sorted and unique";
    TrustReference = "E355", 11, "the keys, roots and revocations of a trust document fit together";
    TrustLimit = "E356", 14, "a trust file is within its limits";
    TrustSignature = "E357", 11, "every signature of a trust document is a root key's over it";
    TrustThreshold = "E358", 11, "the threshold of distinct root keys signed the trust document";
    TrustSuccession = "E359", 11, "the threshold of the predecessor's root keys signed the trust document";
    TrustLink = "E360", 11, "the versions and dates of trust documents follow one another";
    TrustRollback = "E361", 12, "an update does not end before the installed trust document";
    TrustFork = "E362", 12, "no other trust document has the installed one's version";
    TrustExpired = "E363", 11, "the trust document has not expired, where that is enforced";
    TrustFolder = "E364", 11, "the trust folder is no link, and only its owner can write to it";
    TrustExists = "E365", 2, "a first trust document replaces none";
    TrustChange = "E366", 2, "a change names keys that the trust document lists, and adds those that it does not";
    KeyRevoked = "E371", 11, "a revoked key signed only bundles that stay valid";
    ManifestRevoked = "E372", 12, "the bundle is not revoked";
    SignerModel = "E373", 12, "every signer may sign the model";
    SignerChannel = "E374", 12, "every signer may sign for the channel";
    ChannelPolicy = "E375", 12, "the trust document has a policy for the channel";
    RoleThreshold = "E376", 12, "the distinct keys of each role that the channel asks for signed";
    TrustFloor = "E377", 12, "the security version is not below the floor of the trust document";

    ManifestJson = "E401", 10, "the manifest is canonical JSON";
    ManifestFormat = "E402", 10, "the manifest is of format 1";
    ManifestSchema = "E403", 10, "the manifest keeps its schema";
    ManifestOrder = "E404", 10, "lists of the manifest are sorted and unique";
    ManifestReference = "E405", 10, "a path of the manifest names a file of the fitting role";
    ManifestReserved = "E406", 10, "`files` leaves out the manifest and the signatures";
    FileMissing = "E411", 10, "every file of the manifest is an entry";
    FileUnlisted = "E412", 10, "every entry is a file of the manifest";
    FileSize = "E413", 10, "an entry has the size that the manifest states";
    FileDigest = "E414", 10, "an entry has the digest that the manifest states";
    EntryUnknown = "E421", 10, "a requested entry or member exists";

    Runtime = "E501", 13, "the runtime's version is one that the bundle asks for";
    OnnxRuntime = "E502", 13, "the version of ONNX Runtime is one that the bundle asks for";
    Feature = "E503", 13, "the runtime knows every feature that the bundle asks for";
    Compatible = "E504", 13, "the device is one that the bundle is made for";
    Arch = "E505", 13, "the processor is one that the bundle is made for";
    ExecutionProvider = "E506", 13, "the device offers an execution provider that the bundle allows";
    Memory = "E507", 13, "the device has the memory that the bundle asks for";
    DeviceMemory = "E508", 13, "the accelerator has the memory that the bundle asks for";

    OnnxStructure = "E601", 10, "a model is a well-formed protocol buffer";
    OnnxFields = "E602", 10, "a model has the fields of a network, each as often as it may occur";
    OnnxLimits = "E603", 14, "a model is within the limits on nodes, tensors, axes and names";
    OnnxVersion = "E604", 10, "IR version and operator set of a model are known and those of the manifest";
    OnnxDomain = "E605", 10, "a model uses operators of the domain `ai.onnx` only";
    OnnxOperator = "E606", 10, "every operator of a model is on the list of this program";
    OnnxOperatorListed = "E607", 10, "every operator of a model is on the list of the manifest";
    OnnxOneGraph = "E608", 10, "a model holds one graph and no functions";
    OnnxSelfContained = "E609", 10, "every tensor of a model lies inside its file";
    OnnxTensorSize = "E610", 10, "a tensor is there once, with as many values as its extents say";
    OnnxType = "E611", 10, "tensors of a model are dense, with extents and element types that can be";

    StoreBusy = "E701", 20, "one process at a time changes a store";
    StorePresent = "E702", 2, "the folder is a store";
    StoreState = "E703", 20, "the state of a store keeps its schema";
    StoreLatest = "E704", 12, "the state of a store and the trust document are the latest this device has had";
    AuditChain = "E705", 12, "the audit log is one unbroken chain up to the state's last record";
    StoreFull = "E706", 14, "a store holds at most the limit of bundles";
    SecurityFloor = "E711", 12, "the security version is not below the device's floor";
    FloorAboveItself = "E712", 12, "a bundle does not raise the floor above its own security version";
    Downgrade = "E713", 12, "a lower version becomes active only where a downgrade is allowed";
    OnTrial = "E714", 12, "only a bundle that passed its self-test is committed";
    Installed = "E721", 2, "a bundle that is asked for is installed";
    Active = "E722", 2, "a model that is asked for has an active bundle";
    Previous = "E723", 2, "a model that goes back has a previous bundle";
    InstalledFile = "E724", 10, "an installed bundle is the one that was installed";
}

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn codes_are_unique_and_ascend() {
        assert!(Rule::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }

    #[test]
    fn security_document_lists_every_rule_with_its_exit_status() {
        let document = include_str!("../../docs/security.md");
        for rule in Rule::ALL {
            let row = format!("| {} | {} | {} |", rule.code(), rule.exit_code(), rule.summary());
            assert!(document.contains(&row), "missing row: {row}");
        }
    }
}
