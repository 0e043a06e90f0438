//! Facts about web requests. An attempt is cheap; what the server answered says more.

use super::{Kind, Pattern, Predicate, contains_any, quoted};
use crate::view::View;
use casemate_event::{Class, field};

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::WebAttack, |view| {
        let text = request(view)?;
        EXPLOIT.is_in(&text).then(|| says(view, "carries a known exploit"))
    }),
    (Kind::WebTraversal, |view| {
        let text = request(view)?;
        TRAVERSAL.is_in(&text).then(|| says(view, "climbs out of the web folder"))
    }),
    (Kind::WebInjection, |view| {
        let text = request(view)?;
        SQL.is_in(&text).then(|| says(view, "carries a database statement"))
    }),
    (Kind::WebScript, |view| {
        let text = request(view)?;
        SCRIPT.is_in(&text).then(|| says(view, "carries a script for another's browser"))
    }),
    (Kind::WebCommand, |view| {
        let text = request(view)?;
        COMMAND.is_in(&text).then(|| says(view, "carries a command"))
    }),
    (Kind::WebshellRequest, |view| {
        let text = request(view)?;
        (WEBSHELL.is_in(&text) && succeeded(view))
            .then(|| says(view, "looks like the use of a web shell, and was answered with success"))
    }),
    (Kind::WebAttackAnswered, |view| {
        let text = request(view)?;
        let attack = [&EXPLOIT, &TRAVERSAL, &SQL, &COMMAND].iter().any(|pattern| pattern.is_in(&text));
        (attack && succeeded(view)).then(|| says(view, "carries an attack and was answered with success"))
    }),
    (Kind::ScannerAgent, |view| {
        let agent = view.0.field(field::USER_AGENT).filter(|_| is_web(view))?;
        SCANNERS
            .is_in(&agent.to_lowercase())
            .then(|| format!("a request came from a scanner: {}", quoted(agent)))
    }),
    (Kind::SensitivePath, |view| {
        let text = request(view)?;
        SENSITIVE.is_in(&text).then(|| says(view, "asks for a file that no visitor needs"))
    }),
];

static EXPLOIT: Pattern = Pattern::new(
    r"\$\{(jndi|env|lower|upper|sys):|\$\{::-|class\.module\.classloader|/cgi-bin/.*(\(\)\s*\{|%28%29)|\(\)\s*\{\s*:;\s*\}|/_ignition/execute-solution|phpunit/.*eval-stdin|think\\?app/invokefunction|/wp-content/plugins/.*(\.\./|upload\.php)|/actuator/(gateway|env|heapdump)|/druid/|/solr/.*(velocity|dataimport)|/autodiscover/autodiscover\.json.*@|/owa/auth/x\.js|/ecp/\S*\.js.*|/mapi/nspi|/tmui/login\.jsp/\.\.;|/vpn/\.\./vpns|/dana-na/\.\./|/remote/fgt_lang|/+api/v\d/.*template.*\{\{|%\{#context|%24%7b|ognl|java\.lang\.(runtime|processbuilder)|/struts|xmldata\?item|/setup\.cgi\?.*cmd|/boaform/|/hnap1|/goform/|/gponform/|invoker/jmxinvoker|/jmx-console|fckeditor|filemanager/connectors|/vendor/phpunit|php://(input|filter)|data://text|expect://|allow_url_include|auto_prepend_file|<!entity|%3c!entity",
);
static TRAVERSAL: Pattern = Pattern::new(
    r"(\.\.(/|\\|%2f|%5c|%252f|%255c|;/)){2}|(%2e%2e|%252e%252e|\.%2e|%2e\.)(/|\\|%2f|%5c|%252f)|%c0%ae|%uff0e|/etc/(passwd|shadow|hosts)\b|win(dows)?(/|\\|%5c|%2f)(win\.ini|system32)|boot\.ini|/proc/self/|\\windows\\system32|web-inf/web\.xml",
);
static SQL: Pattern = Pattern::new(
    r"union([\s+]|%20|/\*.*?\*/|%0a|%0d)+(all([\s+]|%20|/\*.*?\*/)+)?select|('|%27|\x22|%22|\d)([\s+]|%20|/\*.*?\*/)*(or|and|%7c%7c)([\s+]|%20|/\*.*?\*/)+('|%27|\x22|%22)?\w+('|%27|\x22|%22)?([\s+]|%20)*(=|%3d|like|<|>)|select([\s+]|%20)+.*([\s+]|%20)from([\s+]|%20)+(information_schema|sysobjects|pg_|mysql\.|dual|users)|information_schema|sleep(\(|%28)\d|benchmark(\(|%28)|waitfor([\s+]|%20)+delay|pg_sleep|;([\s+]|%20)*(drop|insert|delete|update|exec|declare)([\s+]|%20)|xp_cmdshell|load_file(\(|%28)|into([\s+]|%20)+(out|dump)file|extractvalue(\(|%28)|updatexml(\(|%28)|('|%27)([\s+]|%20)*(--|%23|;)|order([\s+]|%20)+by([\s+]|%20)+\d+([\s+]|%20)*(--|%23|#)|concat(\(|%28)0x|chr(\(|%28)\d+(\)|%29)(\|\||%7c%7c)",
);
static SCRIPT: Pattern = Pattern::new(
    r"(<|%3c|%253c)(/|%2f)?(script|svg|img|iframe|body|object|embed)([\s/>+]|%20|%3e|%2f).*|javascript(:|%3a)|on(error|load|mouseover|focus|click)([\s+]|%20)*(=|%3d)|alert(\(|%28)|document(\.|%2e)cookie|string\.fromcharcode",
);
static COMMAND: Pattern = Pattern::new(
    r"(;|%3b|\||%7c|`|%60|\$\(|%24%28|&&|%26%26|%0a)([\s+]|%20|\$\{?ifs\}?)*(cat|id|ls|whoami|uname|wget|curl|nc|ncat|bash|sh|python\d?|perl|php|ping|nslookup|dir|type|powershell|cmd|echo|rm|chmod|busybox|tftp)([\s+&;|`)'\x22]|%20|%3b|%7c|\$\{?ifs|$)|[?&](cmd|exec|command|execute|c|shell|run|code|system)(=|%3d)(whoami|id|cat|ls|dir|uname|net|ipconfig|ifconfig|type|powershell|cmd|wget|curl|nc|bash|echo|pwd|hostname|ps|netstat)([\s+&%]|$)|/bin/(ba)?sh\b|cmd\.exe|powershell(\.exe)?([\s+]|%20)|eval(\(|%28)|base64_decode(\(|%28)|system(\(|%28)|passthru(\(|%28)|shell_exec|proc_open|popen(\(|%28)",
);
static WEBSHELL: Pattern = Pattern::new(
    r"/(c99|r57|wso\d*|b374k|alfa|shell|webshell|cmd|backdoor|antsword|chopper|mini|up|xleet|indoxploit|weevely|china|simple-?backdoor|php-?reverse-?shell|tunnel|regeorg|neoreg|help[0-9]?|error[a-z0-9]{3,})\.(php\d?|phtml|aspx?|ashx|jspx?|cfm)\b|/(uploads?|images?|img|files?|media|tmp|cache|wp-content/uploads|avatars?|attachments?|static|fonts|css|js)/\S*\.(php\d?|phtml|aspx?|ashx|jspx?)\b|\.(php\d?|aspx?|ashx|jspx?)\?\S*(cmd|exec|command|wp_meta|pass|shell|z0|act|eval)=|/aspnet_client/\S*\.aspx|/owa/auth/(current|\d+)/\S*\.aspx|\.(jpg|png|gif)\.(php|asp|jsp)|\.php\.(jpg|png)",
);
static SCANNERS: Pattern = Pattern::new(
    r"sqlmap|nikto|nmap|masscan|zgrab|nessus|openvas|acunetix|netsparker|burp|w3af|wpscan|dirbuster|dirb\b|gobuster|feroxbuster|ffuf|wfuzz|nuclei|arachni|havij|hydra|joomscan|whatweb|fimap|jaeles|zmeu|morfeus|muieblackcat|commix|skipfish|webinspect|appscan|qualys|metasploit|libwww-perl|jorgee|censys|shodan|expanse|internet-?measurement|zap/|vega/|paros|grabber|brutus|fuzz faster|interactsh|python-requests/2\.\d+\.\d+ \(scan",
);
static SENSITIVE: Pattern = Pattern::new(
    r"/\.(git|svn|hg|env|aws|ssh|htpasswd|htaccess|ds_store|vscode|idea|npmrc|docker|bash_history|history|kube)(/|\b)|/(phpmyadmin|pma|adminer|phpinfo|server-status|server-info|wp-config\.php|web\.config|config\.(php|json|yml|inc)|backup\.(zip|sql|tar|tgz)|dump\.sql|database\.sql|db\.sql|\w+\.(sql|bak|old|swp)|xmlrpc\.php|manager/html|console/|solr/admin|jenkins/script|hudson|\.well-known/\.\.|id_rsa|credentials|passwd|shadow|composer\.(json|lock)|package\.json|debug/default|telescope|actuator)(/|\?|$|\s)",
);

fn is_web(view: View<'_>) -> bool {
    view.0.class == Class::HttpActivity || view.0.field(field::URL).is_some() && view.native("uri").is_some()
}

/// Request and agent, in lower case; what was asked, not who sent the visitor.
fn request(view: View<'_>) -> Option<String> {
    if !is_web(view) {
        return None;
    }
    let url = view.0.field(field::URL).or_else(|| view.native("request")).or_else(|| view.native("uri"))?;
    let body = ["post_body", "request_body", "cs-body"]
        .iter()
        .find_map(|name| view.native(name))
        .unwrap_or_default();
    let agent = view.0.field(field::USER_AGENT).unwrap_or_default();
    // An agent carries exploits of its own, and none of a path's.
    let agent = if contains_any(agent, &["${", "() {", "<?", "<script"]) { agent } else { "" };
    let mut text = String::with_capacity(url.len() + 64);
    text.extend(url.chars().take(8192));
    text.push(' ');
    text.extend(body.chars().take(8192));
    text.push_str(agent);
    Some(text.to_lowercase())
}

fn succeeded(view: View<'_>) -> bool {
    let code = ["status", "status_code", "sc-status", "http.status", "response"]
        .iter()
        .find_map(|name| view.native(name));
    code.or_else(|| view.0.field(field::EVENT_CODE))
        .is_some_and(|code| code.starts_with('2') && code.len() == 3)
}

fn says(view: View<'_>, what: &str) -> String {
    let from = view.source_ip().or_else(|| view.source_host()).unwrap_or_default();
    let url = view.0.field(field::URL).unwrap_or_default();
    format!("the request {} from {from} {what}", quoted(url))
}
