//! The programs of the organisation: what runs on its devices, who starts what, and with which arguments.
//!
//! A program is data. Its command line is a template whose places in braces are filled when a process starts:
//! `{n}` a number, `{hex}` eight hexadecimal digits, `{guid}` a GUID, `{user}` the account's name, `{doc}` a document's
//! name, `{host}` a server of the organisation, `{url}` a web address.

/// The account that a program runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunsAs {
    /// `NT AUTHORITY\SYSTEM`, or root on Linux.
    System,
    /// `NT AUTHORITY\LOCAL SERVICE`.
    LocalService,
    /// `NT AUTHORITY\NETWORK SERVICE`.
    NetworkService,
    /// The person who is logged on.
    User,
    /// The account of the process that starts it.
    Parent,
}

/// A program, as the version information of its file describes it.
pub(crate) struct Program {
    /// File name, in its own case.
    pub(crate) name: &'static str,
    /// Folder, without the separator at its end; `{user}` stands for the account's name.
    pub(crate) folder: &'static str,
    /// Company, product, internal name and description; empty on Linux, whose files carry none.
    pub(crate) version_info: [&'static str; 4],
    /// Product version.
    pub(crate) version: &'static str,
    /// Size of the file in bytes, before the build's own difference.
    pub(crate) size: u32,
    /// Account that it runs as.
    pub(crate) runs_as: RunsAs,
    /// Command lines, each as likely as the others.
    pub(crate) command_lines: &'static [&'static str],
    /// Names of the programs that it starts; a name that stands twice is started twice as often.
    pub(crate) starts: &'static [&'static str],
}

const fn microsoft(product: &'static str, internal: &'static str, description: &'static str) -> [&'static str; 4] {
    ["Microsoft Corporation", product, internal, description]
}

const WINDOWS: &str = "Microsoft® Windows® Operating System";
const SYSTEM32: &str = r"C:\Windows\System32";
const OFFICE: &str = r"C:\Program Files\Microsoft Office\root\Office16";

/// Programs of Windows workstations and servers.
#[rustfmt::skip]
pub(crate) const WINDOWS_PROGRAMS: &[Program] = &[
    Program { name: "services.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "services.exe", "Services and Controller app"), version: "10.0.26100.1882", size: 763_904, runs_as: RunsAs::System,
        command_lines: &["services.exe"],
        starts: &["svchost.exe", "svchost.exe", "svchost.exe", "svchost.exe", "MsMpEng.exe", "spoolsv.exe", "TrustedInstaller.exe", "BackupAgent.exe", "msiexec.exe", "WUDFHost.exe"] },
    Program { name: "svchost.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "svchost.exe", "Host Process for Windows Services"), version: "10.0.26100.1150", size: 79_920, runs_as: RunsAs::System,
        command_lines: &["svchost.exe -k netsvcs -p -s Schedule", "svchost.exe -k netsvcs -p -s wlidsvc", "svchost.exe -k LocalSystemNetworkRestricted -p -s SysMain", "svchost.exe -k netsvcs -p -s UserManager", "svchost.exe -k DcomLaunch -p", "svchost.exe -k wsappx -p -s AppXSvc", "svchost.exe -k netsvcs -p -s BITS", "svchost.exe -k UnistackSvcGroup -s WpnUserService"],
        starts: &["taskhostw.exe", "taskhostw.exe", "RuntimeBroker.exe", "RuntimeBroker.exe", "WmiPrvSE.exe", "WmiPrvSE.exe", "backgroundTaskHost.exe", "dllhost.exe", "SearchProtocolHost.exe", "GoogleUpdate.exe", "powershell.exe", "consent.exe"] },
    Program { name: "lsass.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "lsass.exe", "Local Security Authority Process"), version: "10.0.26100.1591", size: 83_184, runs_as: RunsAs::System,
        command_lines: &["lsass.exe"], starts: &[] },
    Program { name: "explorer.exe", folder: r"C:\Windows", version_info: microsoft(WINDOWS, "explorer", "Windows Explorer"), version: "10.0.26100.2033", size: 2_774_448, runs_as: RunsAs::User,
        command_lines: &["Explorer.EXE"],
        starts: &["msedge.exe", "msedge.exe", "chrome.exe", "chrome.exe", "OUTLOOK.EXE", "WINWORD.EXE", "EXCEL.EXE", "POWERPNT.EXE", "ms-teams.exe", "notepad.exe", "cmd.exe", "powershell.exe", "Code.exe", "mstsc.exe", "FabZip.exe", "Acrobat.exe", "OneDrive.exe", "FabTerm.exe"] },
    Program { name: "MsMpEng.exe", folder: r"C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.26090.5-0", version_info: microsoft(WINDOWS, "MsMpEng.exe", "Antimalware Service Executable"), version: "4.18.26090.5", size: 289_120, runs_as: RunsAs::System,
        command_lines: &["\"MsMpEng.exe\""], starts: &["MpCmdRun.exe"] },
    Program { name: "MpCmdRun.exe", folder: r"C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.26090.5-0", version_info: microsoft(WINDOWS, "MpCmdRun", "Microsoft Malware Protection Command Line Utility"), version: "4.18.26090.5", size: 1_723_000, runs_as: RunsAs::NetworkService,
        command_lines: &["\"MpCmdRun.exe\" SpyNetServiceDss -RestrictPrivileges -AccessKey {guid} -Reinvoke", "\"MpCmdRun.exe\" SignatureUpdate -ScheduleJob -RestrictPrivileges -Reinvoke"], starts: &["conhost.exe"] },
    Program { name: "spoolsv.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "spoolsv.exe", "Spooler SubSystem App"), version: "10.0.26100.1742", size: 962_560, runs_as: RunsAs::System,
        command_lines: &["spoolsv.exe"], starts: &["splwow64.exe"] },
    Program { name: "splwow64.exe", folder: r"C:\Windows", version_info: microsoft(WINDOWS, "splwow64.exe", "Print driver host for applications"), version: "10.0.26100.1", size: 163_840, runs_as: RunsAs::User,
        command_lines: &["splwow64.exe 12288"], starts: &[] },
    Program { name: "TrustedInstaller.exe", folder: r"C:\Windows\servicing", version_info: microsoft(WINDOWS, "TrustedInstaller.exe", "Windows Modules Installer"), version: "10.0.26100.1457", size: 176_128, runs_as: RunsAs::System,
        command_lines: &["TrustedInstaller.exe"], starts: &["TiWorker.exe"] },
    Program { name: "TiWorker.exe", folder: r"C:\Windows\WinSxS\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_10.0.26100.1738_none_a528b9aad9e5a3d4", version_info: microsoft(WINDOWS, "TiWorker.exe", "Windows Modules Installer Worker"), version: "10.0.26100.1738", size: 268_800, runs_as: RunsAs::System,
        command_lines: &["TiWorker.exe -Embedding"], starts: &[] },
    Program { name: "msiexec.exe", folder: SYSTEM32, version_info: microsoft("Windows Installer - Unicode", "msiexec", "Windows® installer"), version: "5.0.26100.1", size: 176_640, runs_as: RunsAs::System,
        command_lines: &["msiexec.exe /V", "msiexec.exe /i \"C:\\Windows\\ccmcache\\{hex}\\setup.msi\" /qn REBOOT=ReallySuppress"], starts: &["reg.exe"] },
    Program { name: "WUDFHost.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "WUDFHost.exe", "Windows Driver Foundation - User-mode Driver Framework Host Process"), version: "10.0.26100.1", size: 307_200, runs_as: RunsAs::LocalService,
        command_lines: &["\"WUDFHost.exe\" -HostGUID:{193a1820-d9ac-4997-8c55-be817523f6aa} -IoEventPortName:\\UMDFCommunicationPorts\\WUDF\\HostProcess-{guid} -LifetimeId:{guid} -DeviceGroupId:WudfDefaultDevicePool"], starts: &[] },
    Program { name: "taskhostw.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "taskhostw.exe", "Host Process for Windows Tasks"), version: "10.0.26100.1", size: 124_576, runs_as: RunsAs::User,
        command_lines: &["taskhostw.exe", "taskhostw.exe {222A245B-E637-4AE9-A93F-A59CA119A75E}", "taskhostw.exe Install $(Arg0)"], starts: &[] },
    Program { name: "RuntimeBroker.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "RuntimeBroker.exe", "Runtime Broker"), version: "10.0.26100.1", size: 154_480, runs_as: RunsAs::User,
        command_lines: &["RuntimeBroker.exe -Embedding"], starts: &[] },
    Program { name: "WmiPrvSE.exe", folder: r"C:\Windows\System32\wbem", version_info: microsoft(WINDOWS, "Wmiprvse.exe", "WMI Provider Host"), version: "10.0.26100.1", size: 532_480, runs_as: RunsAs::NetworkService,
        command_lines: &["wmiprvse.exe -secured -Embedding", "wmiprvse.exe -Embedding"], starts: &["cmd.exe"] },
    Program { name: "backgroundTaskHost.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "backgroundTaskHost.exe", "Background Task Host"), version: "10.0.26100.1", size: 36_864, runs_as: RunsAs::User,
        command_lines: &["\"backgroundTaskHost.exe\" -ServerName:BackgroundTaskHost.WebAccountProvider", "\"backgroundTaskHost.exe\" -ServerName:CortanaUI.AppX8z9r6jm96hw4bsbneegw0kyxx296wr9t.mca"], starts: &[] },
    Program { name: "dllhost.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "dllhost.exe", "COM Surrogate"), version: "10.0.26100.1", size: 38_312, runs_as: RunsAs::User,
        command_lines: &["dllhost.exe /Processid:{AB8902B4-09CA-4BB6-B78D-A8F59079A8D5}", "dllhost.exe /Processid:{3EB3C877-1F16-487C-9050-104DBCD66683}"], starts: &[] },
    Program { name: "SearchProtocolHost.exe", folder: SYSTEM32, version_info: microsoft("Windows® Search", "SearchProtocolHost.exe", "Microsoft Windows Search Protocol Host"), version: "7.0.26100.1", size: 475_136, runs_as: RunsAs::System,
        command_lines: &["\"SearchProtocolHost.exe\" Global\\UsGthrFltPipeMssGthrPipe{n} Global\\UsGthrCtrlFltPipeMssGthrPipe{n} 1 -2147483646 \"Software\\Microsoft\\Windows Search\" \"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT; MS Search 4.0 Robot)\" \"C:\\ProgramData\\Microsoft\\Search\\Data\\Temp\\usgthrsvc\" \"DownLevelDaemon\""], starts: &[] },
    Program { name: "consent.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "consent.exe", "Consent UI for administrative applications"), version: "10.0.26100.1", size: 177_536, runs_as: RunsAs::System,
        command_lines: &["consent.exe {n} 436 0000019F6B{hex}"], starts: &[] },
    Program { name: "cmd.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "cmd", "Windows Command Processor"), version: "10.0.26100.1", size: 323_584, runs_as: RunsAs::Parent,
        command_lines: &["\"cmd.exe\" ", "cmd.exe /c \"\\\\{host}\\netlogon\\logon.cmd\"", "cmd.exe /d /s /c \"npm run build\"", "cmd.exe /c wmic logicaldisk get size,freespace,caption > C:\\Windows\\Temp\\{hex}.txt"],
        starts: &["conhost.exe", "conhost.exe", "ping.exe", "ipconfig.exe", "net.exe", "reg.exe", "whoami.exe", "powershell.exe", "git.exe", "node.exe", "python.exe", "robocopy.exe"] },
    Program { name: "powershell.exe", folder: r"C:\Windows\System32\WindowsPowerShell\v1.0", version_info: microsoft(WINDOWS, "POWERSHELL", "Windows PowerShell"), version: "10.0.26100.1", size: 455_680, runs_as: RunsAs::Parent,
        command_lines: &["powershell.exe -NoProfile -ExecutionPolicy Bypass -File \"C:\\ProgramData\\Contoso\\Scripts\\inventory.ps1\" -Run {guid}", "powershell.exe -NoLogo -NonInteractive -Command \"Get-CimInstance -ClassName Win32_OperatingSystem | Select-Object LastBootUpTime\"", "\"powershell.exe\" -NoExit -Command \"Import-Module ActiveDirectory; Get-ADUser -Filter 'Enabled -eq $true' -Server {host}\"", "powershell.exe -enc RwBlAHQALQBQAHIAbwBjAGUAcwBzACAAfAAgAFMAbwByAHQALQBPAGIAagBlAGMAdAAgAEMAUABVAA=="],
        starts: &["conhost.exe", "net.exe", "whoami.exe", "csc.exe", "schtasks.exe"] },
    Program { name: "conhost.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "ConHost", "Console Window Host"), version: "10.0.26100.1", size: 1_040_384, runs_as: RunsAs::Parent,
        command_lines: &["conhost.exe 0xffffffff -ForceV1", "\\??\\C:\\WINDOWS\\system32\\conhost.exe 0x4"], starts: &[] },
    Program { name: "ping.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "ping.exe", "TCP/IP Ping Command"), version: "10.0.26100.1", size: 40_960, runs_as: RunsAs::Parent,
        command_lines: &["ping  -n 1 -w 1000 {host}"], starts: &[] },
    Program { name: "ipconfig.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "ipconfig.exe", "IP Configuration Utility"), version: "10.0.26100.1", size: 57_344, runs_as: RunsAs::Parent,
        command_lines: &["ipconfig  /all", "ipconfig /flushdns"], starts: &[] },
    Program { name: "net.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "net.exe", "Net Command"), version: "10.0.26100.1", size: 81_920, runs_as: RunsAs::Parent,
        command_lines: &["net  use H: \\\\{host}\\home\\{user} /persistent:no", "net  localgroup administrators", "net  group \"Domain Admins\" /domain"], starts: &[] },
    Program { name: "reg.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "reg.exe", "Registry Console Tool"), version: "10.0.26100.1", size: 98_304, runs_as: RunsAs::Parent,
        command_lines: &["reg  query HKLM\\SOFTWARE\\Contoso\\Agent /v Version", "reg  add \"HKCU\\Software\\Contoso\\Agent\" /v LastRun /t REG_SZ /d {n} /f"], starts: &[] },
    Program { name: "whoami.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "whoami.exe", "whoami - displays logged on user information"), version: "10.0.26100.1", size: 90_112, runs_as: RunsAs::Parent,
        command_lines: &["whoami", "whoami  /groups"], starts: &[] },
    Program { name: "schtasks.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "schtasks.exe", "Task Scheduler Configuration Tool"), version: "10.0.26100.1", size: 245_760, runs_as: RunsAs::Parent,
        command_lines: &["\"schtasks.exe\" /query /fo csv /v", "\"schtasks.exe\" /run /tn \\Contoso\\Inventory"], starts: &[] },
    Program { name: "robocopy.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "RoboCopy.exe", "Microsoft Robocopy"), version: "10.0.26100.1", size: 233_472, runs_as: RunsAs::Parent,
        command_lines: &["robocopy  C:\\Users\\{user}\\Documents \\\\{host}\\home\\{user} /MIR /R:1 /W:1 /LOG:C:\\Windows\\Temp\\{hex}.log"], starts: &[] },
    Program { name: "csc.exe", folder: r"C:\Windows\Microsoft.NET\Framework64\v4.0.30319", version_info: microsoft("Microsoft® .NET Framework", "csc.exe", "Visual C# Command Line Compiler"), version: "4.8.9282.0", size: 2_759_232, runs_as: RunsAs::Parent,
        command_lines: &["\"csc.exe\" /noconfig /fullpaths @\"C:\\Users\\{user}\\AppData\\Local\\Temp\\{hex}\\{hex}.cmdline\""], starts: &["conhost.exe"] },
    Program { name: "msedge.exe", folder: r"C:\Program Files (x86)\Microsoft\Edge\Application", version_info: microsoft("Microsoft Edge", "msedge_exe", "Microsoft Edge"), version: "143.0.3650.66", size: 4_723_240, runs_as: RunsAs::User,
        command_lines: &["\"msedge.exe\" --single-argument {url}", "\"msedge.exe\" --type=renderer --string-annotations --video-capture-use-gpu-memory-buffer --lang=en-US --device-scale-factor=1.25 --num-raster-threads=4 --enable-main-frame-before-activation --renderer-client-id={n} --time-ticks-at-unix-epoch=-1763620512{n} --launch-time-ticks={n}{n} --metrics-shmem-handle={n},i,{n}{n},{n}{n},524288 --field-trial-handle={n},i,{n}{n},{n}{n},262144 --variations-seed-version --mojo-platform-channel-handle={n} /prefetch:1", "\"msedge.exe\" --type=utility --utility-sub-type=network.mojom.NetworkService --lang=en-US --service-sandbox-type=none --string-annotations --field-trial-handle={n},i,{n}{n},{n}{n},262144 --variations-seed-version --mojo-platform-channel-handle={n} /prefetch:3"],
        starts: &["msedge.exe", "msedge.exe", "msedge.exe", "Acrobat.exe"] },
    Program { name: "chrome.exe", folder: r"C:\Program Files\Google\Chrome\Application", version_info: ["Google LLC", "Google Chrome", "chrome_exe", "Google Chrome"], version: "143.0.7499.41", size: 3_312_800, runs_as: RunsAs::User,
        command_lines: &["\"chrome.exe\" --type=renderer --string-annotations --enable-dinosaur-easter-egg-alt-images --lang=en-US --device-scale-factor=1 --num-raster-threads=4 --enable-main-frame-before-activation --renderer-client-id={n} --time-ticks-at-unix-epoch=-1763620777{n} --launch-time-ticks={n}{n} --field-trial-handle={n},i,{n}{n},{n}{n},262144 --variations-seed-version=20261118-{n} --mojo-platform-channel-handle={n} /prefetch:1", "\"chrome.exe\" {url}", "\"chrome.exe\" --type=gpu-process --string-annotations --gpu-preferences=SAAAAAAAAADgAAAEAAAAAAAAAAAAAGAAAQAAAAAAAAAAAAAAAAAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA --field-trial-handle={n},i,{n}{n},{n}{n},262144 --mojo-platform-channel-handle={n} /prefetch:2"],
        starts: &["chrome.exe", "chrome.exe", "chrome.exe"] },
    Program { name: "GoogleUpdate.exe", folder: r"C:\Program Files (x86)\Google\Update", version_info: ["Google LLC", "Google Update", "Google Update", "Google Installer"], version: "1.3.36.372", size: 162_080, runs_as: RunsAs::System,
        command_lines: &["\"GoogleUpdate.exe\" /ua /installsource scheduler", "\"GoogleUpdate.exe\" /ping {guid}"], starts: &[] },
    Program { name: "OUTLOOK.EXE", folder: OFFICE, version_info: microsoft("Microsoft Outlook", "Outlook", "Microsoft Outlook"), version: "16.0.18429.20132", size: 44_920_640, runs_as: RunsAs::User,
        command_lines: &["\"OUTLOOK.EXE\" ", "\"OUTLOOK.EXE\" /recycle"], starts: &["WINWORD.EXE", "EXCEL.EXE", "Acrobat.exe", "msedge.exe"] },
    Program { name: "WINWORD.EXE", folder: OFFICE, version_info: microsoft("Microsoft Office", "WinWord", "Microsoft Word"), version: "16.0.18429.20132", size: 1_626_112, runs_as: RunsAs::User,
        command_lines: &["\"WINWORD.EXE\" /n \"C:\\Users\\{user}\\Documents\\{doc}.docx\" /o \"\"", "\"WINWORD.EXE\" /n \"C:\\Users\\{user}\\AppData\\Local\\Microsoft\\Windows\\INetCache\\Content.Outlook\\{hex}\\{doc}.docx\" /o \"\""], starts: &["splwow64.exe"] },
    Program { name: "EXCEL.EXE", folder: OFFICE, version_info: microsoft("Microsoft Office", "Excel", "Microsoft Excel"), version: "16.0.18429.20132", size: 66_434_048, runs_as: RunsAs::User,
        command_lines: &["\"EXCEL.EXE\" \"C:\\Users\\{user}\\Documents\\{doc}.xlsx\"", "\"EXCEL.EXE\" \"\\\\{host}\\finance\\{doc}.xlsx\""], starts: &["splwow64.exe", "cmd.exe"] },
    Program { name: "POWERPNT.EXE", folder: OFFICE, version_info: microsoft("Microsoft Office", "POWERPNT", "Microsoft PowerPoint"), version: "16.0.18429.20132", size: 1_868_288, runs_as: RunsAs::User,
        command_lines: &["\"POWERPNT.EXE\" \"C:\\Users\\{user}\\Documents\\{doc}.pptx\" /ou \"\""], starts: &[] },
    Program { name: "ms-teams.exe", folder: r"C:\Program Files\WindowsApps\MSTeams_25290.205.4069.4894_x64__8wekyb3d8bbwe", version_info: microsoft("Microsoft Teams", "ms-teams", "Microsoft Teams"), version: "25290.205.4069.4894", size: 1_212_416, runs_as: RunsAs::User,
        command_lines: &["\"ms-teams.exe\" ", "\"ms-teams.exe\" msteams:system-initiated"], starts: &["msedge.exe"] },
    Program { name: "OneDrive.exe", folder: r"C:\Program Files\Microsoft OneDrive", version_info: microsoft("Microsoft OneDrive", "OneDrive.exe", "Microsoft OneDrive"), version: "25.206.1021.0003", size: 4_866_464, runs_as: RunsAs::User,
        command_lines: &["\"OneDrive.exe\" /background"], starts: &[] },
    Program { name: "notepad.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "Notepad", "Notepad"), version: "10.0.26100.1", size: 360_448, runs_as: RunsAs::User,
        command_lines: &["\"notepad.exe\" C:\\Users\\{user}\\Desktop\\{doc}.txt"], starts: &[] },
    Program { name: "mstsc.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "mstsc.exe", "Remote Desktop Connection"), version: "10.0.26100.1", size: 1_564_672, runs_as: RunsAs::User,
        command_lines: &["\"mstsc.exe\" /v:{host}"], starts: &[] },
    Program { name: "FabZip.exe", folder: r"C:\Program Files\Fabrikam\Zip", version_info: ["Fabrikam, Inc.", "Fabrikam Zip", "FabZip", "Fabrikam Zip File Manager"], version: "24.09", size: 971_264, runs_as: RunsAs::User,
        command_lines: &["\"FabZip.exe\" \"C:\\Users\\{user}\\Downloads\\{doc}.zip\""], starts: &[] },
    Program { name: "Acrobat.exe", folder: r"C:\Program Files\Adobe\Acrobat DC\Acrobat", version_info: ["Adobe Systems Incorporated", "Adobe Acrobat", "Acrobat.exe", "Adobe Acrobat"], version: "25.1.20844.0", size: 5_843_456, runs_as: RunsAs::User,
        command_lines: &["\"Acrobat.exe\" \"C:\\Users\\{user}\\Downloads\\{doc}.pdf\"", "\"Acrobat.exe\" --type=renderer /prefetch:1 \"C:\\Users\\{user}\\Documents\\{doc}.pdf\""], starts: &["msedge.exe"] },
    Program { name: "FabTerm.exe", folder: r"C:\Users\{user}\AppData\Local\Programs\FabTerm", version_info: ["Fabrikam, Inc.", "Fabrikam Terminal", "FabTerm", "SSH and serial terminal"], version: "3.1.4", size: 1_654_784, runs_as: RunsAs::User,
        command_lines: &["\"FabTerm.exe\" -ssh {user}@{host} 22"], starts: &[] },
    Program { name: "Code.exe", folder: r"C:\Users\{user}\AppData\Local\Programs\Microsoft VS Code", version_info: microsoft("Visual Studio Code", "electron.exe", "Visual Studio Code"), version: "1.106.2", size: 210_432_064, runs_as: RunsAs::User,
        command_lines: &["\"Code.exe\" ", "\"Code.exe\" --type=utility --utility-sub-type=node.mojom.NodeService --lang=en-US --service-sandbox-type=none --dns-result-order=ipv4first --inspect-port=0 --user-data-dir=\"C:\\Users\\{user}\\AppData\\Roaming\\Code\" --standard-schemes=vscode-webview,vscode-file --mojo-platform-channel-handle={n} --field-trial-handle={n},i,{n}{n},{n}{n},262144 --variations-seed-version /prefetch:8"],
        starts: &["cmd.exe", "git.exe", "git.exe", "node.exe", "python.exe", "powershell.exe"] },
    Program { name: "git.exe", folder: r"C:\Program Files\Git\cmd", version_info: ["The Git Development Community", "Git", "git", "Git for Windows"], version: "2.51.2.1", size: 46_080, runs_as: RunsAs::Parent,
        command_lines: &["git.exe status -z -uall", "git.exe fetch --prune origin", "git.exe log --format=%H%n%aN%n%aE%n%at%n%ct%n%P%n%D%n%B -z --shortstat --diff-merges=first-parent -n50 --skip=0 --topo-order"], starts: &["conhost.exe"] },
    Program { name: "node.exe", folder: r"C:\Program Files\nodejs", version_info: ["Node.js", "Node.js", "node", "Node.js JavaScript Runtime"], version: "22.21.1", size: 84_312_232, runs_as: RunsAs::Parent,
        command_lines: &["\"node\"   \"C:\\Users\\{user}\\source\\portal\\node_modules\\.bin\\..\\vite\\bin\\vite.js\" build", "node.exe --max-old-space-size=3072 tsserver.js --serverMode partialSemantic --useInferredProjectPerProjectRoot --cancellationPipeName \"C:\\Users\\{user}\\AppData\\Local\\Temp\\vscode-typescript\\{hex}\\tscancellation*\""], starts: &[] },
    Program { name: "python.exe", folder: r"C:\Program Files\Python313", version_info: ["Python Software Foundation", "Python", "Python Console", "Python"], version: "3.13.9", size: 105_304, runs_as: RunsAs::Parent,
        command_lines: &["python.exe -m pytest -q tests", "python.exe \"C:\\Users\\{user}\\source\\reports\\{doc}.py\" --since {n}"], starts: &[] },
    Program { name: "wininit.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "WinInit", "Windows Start-Up Application"), version: "10.0.26100.1", size: 425_984, runs_as: RunsAs::System,
        command_lines: &["wininit.exe"], starts: &[] },
    Program { name: "userinit.exe", folder: SYSTEM32, version_info: microsoft(WINDOWS, "userinit", "Userinit Logon Application"), version: "10.0.26100.1", size: 69_632, runs_as: RunsAs::User,
        command_lines: &["userinit.exe"], starts: &[] },
    Program { name: "BackupAgent.exe", folder: r"C:\Program Files\Fabrikam\Backup", version_info: ["Fabrikam, Inc.", "Fabrikam Backup", "BackupAgent", "Fabrikam Backup Agent"], version: "7.4.1190.0", size: 12_451_840, runs_as: RunsAs::System,
        command_lines: &["\"C:\\Program Files\\Fabrikam\\Backup\\BackupAgent.exe\" --job {guid} --target \\\\{host}\\backup$"], starts: &["cmd.exe"] },
];

/// What runs on every Windows device since its start, with the parent; a parent that is not in the list has ended.
pub(crate) const WINDOWS_RESIDENTS: &[(&str, &str)] = &[
    ("services.exe", "wininit.exe"),
    ("explorer.exe", "userinit.exe"),
    ("lsass.exe", "wininit.exe"),
    ("svchost.exe", "services.exe"),
    ("MsMpEng.exe", "services.exe"),
];

/// Position of Explorer, which starts what people start.
pub(crate) const EXPLORER: usize = 1;

/// What runs on every Linux device since its start.
pub(crate) const LINUX_RESIDENTS: &[(&str, &str)] =
    &[("systemd", "systemd"), ("sshd", "systemd"), ("crond", "systemd")];

const NO_INFO: [&str; 4] = ["", "", "", ""];

/// Programs of Linux servers.
#[rustfmt::skip]
pub(crate) const LINUX_PROGRAMS: &[Program] = &[
    Program { name: "systemd", folder: "/usr/lib/systemd", version_info: NO_INFO, version: "", size: 100_816, runs_as: RunsAs::System,
        command_lines: &["/usr/lib/systemd/systemd --switched-root --system --deserialize {n}"], starts: &["sshd", "crond", "nginx", "java", "systemd-journald", "cron.daily"] },
    Program { name: "sshd", folder: "/usr/sbin", version_info: NO_INFO, version: "", size: 921_288, runs_as: RunsAs::System,
        command_lines: &["sshd: {user} [priv]", "/usr/sbin/sshd -D -R"], starts: &["bash"] },
    Program { name: "crond", folder: "/usr/sbin", version_info: NO_INFO, version: "", size: 74_584, runs_as: RunsAs::System,
        command_lines: &["/usr/sbin/crond -n"], starts: &["sh", "sh", "python3"] },
    Program { name: "cron.daily", folder: "/etc", version_info: NO_INFO, version: "", size: 1_204, runs_as: RunsAs::System,
        command_lines: &["/bin/bash /etc/cron.daily/logrotate"], starts: &["sh", "gzip"] },
    Program { name: "systemd-journald", folder: "/usr/lib/systemd", version_info: NO_INFO, version: "", size: 190_264, runs_as: RunsAs::System,
        command_lines: &["/usr/lib/systemd/systemd-journald"], starts: &[] },
    Program { name: "nginx", folder: "/usr/sbin", version_info: NO_INFO, version: "", size: 1_322_040, runs_as: RunsAs::NetworkService,
        command_lines: &["nginx: worker process", "nginx: master process /usr/sbin/nginx -g daemon off;"], starts: &[] },
    Program { name: "java", folder: "/usr/lib/jvm/java-21-openjdk/bin", version_info: NO_INFO, version: "", size: 12_768, runs_as: RunsAs::NetworkService,
        command_lines: &["java -Xms2g -Xmx6g -XX:+UseG1GC -Dspring.profiles.active=prod -jar /srv/orders/orders-service-{n}.jar"], starts: &["sh"] },
    Program { name: "bash", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 1_388_768, runs_as: RunsAs::User,
        command_lines: &["-bash", "bash -c 'tail -n 200 /var/log/nginx/access.log | awk \"{print \\$1}\" | sort | uniq -c'"], starts: &["ls", "ls", "curl", "sudo", "python3", "grep", "id"] },
    Program { name: "sh", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 125_688, runs_as: RunsAs::Parent,
        command_lines: &["/bin/sh -c /opt/contoso/bin/collect --out /var/tmp/{hex}.json", "sh -c 'df -P | tail -n +2'"], starts: &["curl", "gzip", "grep", "id"] },
    Program { name: "sudo", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 277_936, runs_as: RunsAs::System,
        command_lines: &["sudo systemctl restart nginx", "sudo -u postgres psql -c \"select count(*) from pg_stat_activity\""], starts: &[] },
    Program { name: "curl", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 260_328, runs_as: RunsAs::Parent,
        command_lines: &["curl -fsS -m 10 {url}", "curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8080/health"], starts: &[] },
    Program { name: "python3", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 6_640_824, runs_as: RunsAs::Parent,
        command_lines: &["/usr/bin/python3 /opt/contoso/report.py --run {guid}"], starts: &[] },
    Program { name: "ls", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 142_144, runs_as: RunsAs::Parent,
        command_lines: &["ls --color=auto -la"], starts: &[] },
    Program { name: "grep", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 182_728, runs_as: RunsAs::Parent,
        command_lines: &["grep -rn \"ERROR\" /srv/orders/log/{n}.log"], starts: &[] },
    Program { name: "gzip", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 98_136, runs_as: RunsAs::Parent,
        command_lines: &["gzip -9 /var/log/nginx/access.log.{n}"], starts: &[] },
    Program { name: "id", folder: "/usr/bin", version_info: NO_INFO, version: "", size: 43_808, runs_as: RunsAs::Parent,
        command_lines: &["id -u"], starts: &[] },
];
