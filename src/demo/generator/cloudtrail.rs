//! AWS CloudTrail log files: `{"Records":[…]}`, one gzip file per account, region and few minutes, under the key that
//! the service gives them (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html>).
//! Record contents follow
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.

use super::clock::{SECOND, push_time};
use super::dice::Dice;
use super::organisation::Organisation;
use super::row::Row;

/// The accounts; the first one holds the users, the others are reached by roles.
const ACCOUNTS: [&str; 3] = ["111122223333", "444455556666", "777788889999"];

/// Regions with their share of the activity.
const REGIONS: [(u32, &str); 3] = [(60, "eu-west-1"), (25, "us-east-1"), (15, "eu-central-1")];

/// What is called: source, name, whether it only reads, its request and its response.
#[derive(Clone, Copy)]
struct Call {
    source: &'static str,
    name: &'static str,
    is_read: bool,
    request: &'static str,
    response: &'static str,
}

const fn call(
    source: &'static str,
    name: &'static str,
    is_read: bool,
    request: &'static str,
    response: &'static str,
) -> Call {
    Call { source, name, is_read, request, response }
}

#[rustfmt::skip]
const CALLS: [(u32, Call); 26] = [
    (180, call("sts.amazonaws.com", "AssumeRole", true, r#"{"roleArn":"arn:aws:iam::{account}:role/{role}","roleSessionName":"{user}","durationSeconds":3600}"#, r#"{"credentials":{"accessKeyId":"ASIA{key}","sessionToken":"HIDDEN_DUE_TO_SECURITY_REASONS"},"assumedRoleUser":{"assumedRoleId":"AROA{role_key}:{user}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{user}"}}"#)),
    (60, call("sts.amazonaws.com", "GetCallerIdentity", true, "null", "null")),
    (25, call("signin.amazonaws.com", "ConsoleLogin", false, "null", r#"{"ConsoleLogin":"Success"}"#)),
    (20, call("sts.amazonaws.com", "AssumeRoleWithSAML", true, r#"{"sAMLAssertionID":"_{guid}","roleSessionName":"{user}","roleArn":"arn:aws:iam::{account}:role/{role}","principalArn":"arn:aws:iam::{account}:saml-provider/Contoso"}"#, r#"{"subjectType":"persistent","issuer":"https://login.contoso.example","audience":"https://signin.aws.amazon.com/saml"}"#)),
    (140, call("ec2.amazonaws.com", "DescribeInstances", true, r#"{"maxResults":1000,"instancesSet":{},"filterSet":{}}"#, "null")),
    (40, call("ec2.amazonaws.com", "DescribeSecurityGroups", true, r#"{"securityGroupSet":{},"securityGroupIdSet":{},"filterSet":{}}"#, "null")),
    (16, call("ec2.amazonaws.com", "RunInstances", false, r#"{"instancesSet":{"items":[{"imageId":"ami-{hex}","minCount":1,"maxCount":1}]},"instanceType":"m7g.large","subnetId":"subnet-{hex}"}"#, r#"{"requestId":"{guid}","instancesSet":{"items":[{"instanceId":"i-0{hex}{hex}","instanceState":{"code":0,"name":"pending"}}]}}"#)),
    (12, call("ec2.amazonaws.com", "StopInstances", false, r#"{"instancesSet":{"items":[{"instanceId":"i-0{hex}{hex}"}]},"force":false}"#, r#"{"requestId":"{guid}"}"#)),
    (9, call("ec2.amazonaws.com", "AuthorizeSecurityGroupIngress", false, r#"{"groupId":"sg-{hex}","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":443,"toPort":443,"ipRanges":{"items":[{"cidrIp":"203.0.113.0/24"}]}}]}}"#, r#"{"requestId":"{guid}","_return":true}"#)),
    (3, call("ec2.amazonaws.com", "DeleteSecurityGroup", false, r#"{"groupId":"sg-{hex}"}"#, r#"{"requestId":"{guid}","_return":true}"#)),
    (60, call("s3.amazonaws.com", "ListBuckets", true, r#"{"Host":"s3.eu-west-1.amazonaws.com"}"#, "null")),
    (110, call("s3.amazonaws.com", "GetObject", true, r#"{"bucketName":"contoso-reports","Host":"contoso-reports.s3.eu-west-1.amazonaws.com","key":"daily/{hex}.parquet"}"#, "null")),
    (70, call("s3.amazonaws.com", "PutObject", false, r#"{"bucketName":"contoso-reports","Host":"contoso-reports.s3.eu-west-1.amazonaws.com","key":"daily/{hex}.parquet"}"#, r#"{"x-amz-server-side-encryption":"AES256"}"#)),
    (4, call("s3.amazonaws.com", "PutBucketPolicy", false, r#"{"bucketName":"contoso-reports","bucketPolicy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::{account}:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::contoso-reports/*"}]}}"#, "null")),
    (3, call("s3.amazonaws.com", "DeleteBucket", false, r#"{"bucketName":"contoso-scratch-{hex}"}"#, "null")),
    (6, call("iam.amazonaws.com", "CreateUser", false, r#"{"userName":"{user}"}"#, r#"{"user":{"path":"/","userName":"{user}","userId":"AIDA{user_key}","arn":"arn:aws:iam::{account}:user/{user}"}}"#)),
    (4, call("iam.amazonaws.com", "DeleteUser", false, r#"{"userName":"{user}"}"#, "null")),
    (8, call("iam.amazonaws.com", "AttachUserPolicy", false, r#"{"userName":"{user}","policyArn":"arn:aws:iam::aws:policy/ReadOnlyAccess"}"#, "null")),
    (6, call("iam.amazonaws.com", "CreateAccessKey", false, r#"{"userName":"{user}"}"#, r#"{"accessKey":{"accessKeyId":"AKIA{user_key}","status":"Active","userName":"{user}"}}"#)),
    (5, call("iam.amazonaws.com", "UpdateAssumeRolePolicy", false, r#"{"roleName":"{role}","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[]}"}"#, "null")),
    (50, call("iam.amazonaws.com", "ListRoles", true, "null", "null")),
    (90, call("kms.amazonaws.com", "Decrypt", true, r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::contoso-reports"}}"#, "null")),
    (30, call("lambda.amazonaws.com", "Invoke", false, r#"{"functionName":"arn:aws:lambda:eu-west-1:{account}:function:orders-export","invocationType":"Event"}"#, "null")),
    (2, call("cloudtrail.amazonaws.com", "StopLogging", false, r#"{"name":"arn:aws:cloudtrail:eu-west-1:{account}:trail/organisation"}"#, "null")),
    (35, call("logs.amazonaws.com", "CreateLogStream", false, r#"{"logGroupName":"/aws/lambda/orders-export","logStreamName":"2026/11/20/[$LATEST]{hex}"}"#, "null")),
    (2, call("rds.amazonaws.com", "ModifyDBInstance", false, r#"{"dBInstanceIdentifier":"orders","masterUserPassword":"****","applyImmediately":true,"allowMajorVersionUpgrade":false}"#, "null")),
];

const ROLES: [&str; 4] = ["ReadOnly", "OrganizationAdmin", "Deploy", "orders-task"];

const USER_AGENTS: [&str; 4] = [
    "aws-cli/2.31.32 md/awscrt#0.28.4 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.13.9 md/pyimpl#CPython",
    "Boto3/1.40.70 md/Botocore#1.40.70 ua/2.1 os/linux#6.1 md/arch#aarch64 lang/python#3.12.11",
    "APN/1.0 HashiCorp/1.0 Terraform/1.13.5 (+https://www.terraform.io) terraform-provider-aws/6.20.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
];

/// The account and region whose file comes next.
pub(crate) fn place(dice: &mut Dice) -> (&'static str, &'static str) {
    (dice.pick(&ACCOUNTS), dice.weighted(&REGIONS))
}

/// Key of a log file that is delivered at `at`.
pub(crate) fn file_name(dice: &mut Dice, account: &str, region: &str, at: i64) -> String {
    let mut text = Vec::with_capacity(32);
    push_time(&mut text, at, false);
    // ASCII by construction: `2026-11-20T09:14:29.7712345`.
    let text = String::from_utf8_lossy(&text);
    let (year, month, day) = (&text[..4], &text[5..7], &text[8..10]);
    let minute = format!("{year}{month}{day}T{}{}Z", &text[11..13], &text[14..16]);
    let unique = dice.hex(16);
    format!(
        "AWSLogs/{account}/CloudTrail/{region}/{year}/{month}/{day}/{account}_CloudTrail_{region}_{minute}_{unique}.json.gz"
    )
}

/// Appends one record of `account` and `region` that happened at `at`.
pub(crate) fn push_record(
    out: &mut Vec<u8>,
    organisation: &Organisation,
    dice: &mut Dice,
    (account, region): (&str, &str),
    at: i64,
) {
    let person = organisation.people.start + dice.index(40);
    let user = organisation.accounts[person].name.as_str();
    let role = dice.pick(&ROLES);
    let call = &dice.weighted(&CALLS);
    let is_sign_in = call.name == "ConsoleLogin";
    let is_service = matches!(call.name, "Decrypt" | "CreateLogStream") && dice.percent(60);
    let error = error(dice, call);
    let failed_sign_in = is_sign_in && error.is_some();
    let texts = Texts { account, role, user };

    let mut row = Row::open(out);
    row.plain("eventVersion", "1.11");
    let identity = identity(dice, &texts, call.name, is_service, at);
    row.raw("userIdentity", &identity);
    row.time("eventTime", at / SECOND * SECOND);
    row.plain("eventSource", call.source);
    row.plain("eventName", call.name);
    row.plain("awsRegion", region);
    if is_service {
        row.plain("sourceIPAddress", "s3.amazonaws.com");
        row.plain("userAgent", "s3.amazonaws.com");
    } else {
        let address = dice.pick(&["203.0.113", "198.51.100", "192.0.2"]);
        row.plain("sourceIPAddress", &format!("{address}.{}", dice.between(1, 254)));
        row.escaped("userAgent", if is_sign_in { USER_AGENTS[3] } else { dice.pick(&USER_AGENTS) });
    }
    if let Some((code, message)) = error.filter(|_| !is_sign_in) {
        row.plain("errorCode", code);
        row.escaped("errorMessage", &texts.fill(message, dice));
    }
    if failed_sign_in {
        row.plain("errorMessage", "Failed authentication");
    }
    row.raw("requestParameters", &texts.fill(call.request, dice));
    match (failed_sign_in, error.is_some()) {
        (true, _) => row.raw("responseElements", r#"{"ConsoleLogin":"Failure"}"#),
        (false, true) => row.null("responseElements"),
        (false, false) => row.raw("responseElements", &texts.fill(call.response, dice)),
    }
    if is_sign_in {
        let has_factor = if dice.percent(85) { "Yes" } else { "No" };
        row.raw(
            "additionalEventData",
            &format!(
                r#"{{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"{has_factor}"}}"#
            ),
        );
    }
    if !is_sign_in {
        row.plain("requestID", &dice.guid());
    }
    row.plain("eventID", &dice.guid());
    row.bool("readOnly", call.is_read);
    let is_data = matches!(call.name, "GetObject" | "PutObject" | "Invoke");
    if is_data && call.source == "s3.amazonaws.com" {
        row.raw(
            "resources",
            &format!(
                r#"[{{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::contoso-reports","accountId":"{account}"}},{{"type":"AWS::S3::Object","ARNPrefix":"arn:aws:s3:::contoso-reports/"}}]"#
            ),
        );
    }
    row.plain("eventType", if is_sign_in { "AwsConsoleSignIn" } else { "AwsApiCall" });
    row.bool("managementEvent", !is_data);
    row.plain("recipientAccountId", account);
    row.plain("eventCategory", if is_data { "Data" } else { "Management" });
    if !is_service {
        let host = call.source.replace(".amazonaws.com", &format!(".{region}.amazonaws.com"));
        row.raw(
            "tlsDetails",
            &format!(
                r#"{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{host}"}}"#
            ),
        );
    }
    row.close();
}

/// The error code and message of a call that is refused; about one call in 25 is.
fn error(dice: &mut Dice, call: &Call) -> Option<(&'static str, &'static str)> {
    if call.name == "ConsoleLogin" {
        return dice.percent(12).then_some(("", ""));
    }
    if !dice.percent(4) {
        return None;
    }
    Some(match call.source {
        "ec2.amazonaws.com" => (
            "Client.UnauthorizedOperation",
            "You are not authorized to perform this operation. User: arn:aws:sts::{account}:assumed-role/{role}/{user}",
        ),
        "s3.amazonaws.com" => ("AccessDenied", "Access Denied"),
        _ => (
            "AccessDenied",
            "User: arn:aws:sts::{account}:assumed-role/{role}/{user} is not authorized to perform this action \"*\"",
        ),
    })
}

/// Who calls: a service, the root user, an IAM user, a federated user or the session of a role.
fn identity(dice: &mut Dice, texts: &Texts<'_>, name: &str, is_service: bool, at: i64) -> String {
    if is_service {
        return r#"{"type":"AWSService","invokedBy":"s3.amazonaws.com"}"#.to_owned();
    }
    let template = match (name, dice.below(100)) {
        ("AssumeRoleWithSAML", _) => {
            r#"{"type":"SAMLUser","principalId":"{user_key}:{user}@contoso.example","userName":"{user}@contoso.example","identityProvider":"Contoso"}"#
        }
        (_, 0) => {
            r#"{"type":"Root","principalId":"{account}","arn":"arn:aws:iam::{account}:root","accountId":"{account}"}"#
        }
        ("ConsoleLogin", _) => {
            r#"{"type":"IAMUser","principalId":"AIDA{user_key}","arn":"arn:aws:iam::{account}:user/{user}","accountId":"{account}","userName":"{user}"}"#
        }
        (_, 1..=35) => {
            r#"{"type":"IAMUser","principalId":"AIDA{user_key}","arn":"arn:aws:iam::{account}:user/{user}","accountId":"{account}","accessKeyId":"AKIA{user_key}","userName":"{user}"}"#
        }
        _ => {
            r#"{"type":"AssumedRole","principalId":"AROA{role_key}:{user}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{user}","accountId":"{account}","accessKeyId":"ASIA{key}","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA{role_key}","arn":"arn:aws:iam::{account}:role/{role}","accountId":"{account}","userName":"{role}"},"attributes":{"creationDate":"{created}","mfaAuthenticated":"false"}}}"#
        }
    };
    let mut created = Vec::with_capacity(32);
    push_time(&mut created, (at / SECOND - i64::from(dice.below(3600))) * SECOND, true);
    let created = format!("{}Z", String::from_utf8_lossy(&created));
    texts.fill(&template.replace("{created}", &created), dice)
}

/// What stands in the places of a template.
struct Texts<'a> {
    account: &'a str,
    role: &'a str,
    user: &'a str,
}

impl Texts<'_> {
    /// Fills the places in braces; a brace that begins anything else stays as it is.
    fn fill(&self, template: &str, dice: &mut Dice) -> String {
        let mut text = String::with_capacity(template.len() + 64);
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            text.push_str(&rest[..open]);
            rest = &rest[open..];
            let place = rest.find('}').map_or("", |close| &rest[1..close]);
            match place {
                "account" => text.push_str(self.account),
                "role" => text.push_str(self.role),
                "user" => text.push_str(self.user),
                "hex" => text.push_str(&dice.hex(8)),
                "guid" => text.push_str(&dice.guid()),
                "key" => text.push_str(&dice.hex(16).to_uppercase()),
                "user_key" => text.push_str(&unique_id(self.account, self.user)),
                "role_key" => text.push_str(&unique_id(self.account, self.role)),
                _ => {
                    text.push('{');
                    rest = &rest[1..];
                    continue;
                }
            }
            rest = &rest[place.len() + 2..];
        }
        text.push_str(rest);
        text
    }
}

/// The 16 characters that tell an account's user or role from all others: the same for every event, by FNV-1a
/// (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>).
fn unique_id(account: &str, name: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = account.bytes().chain(name.bytes()).fold(0xcbf2_9ce4_8422_2325, step);
    format!("{hash:016X}")
}
