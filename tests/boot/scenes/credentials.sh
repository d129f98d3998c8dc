#!/bin/bash
# The key-encryption key: made by the oneshot, handed over by systemd to the service alone, rotated, lost.
. /agentd/boot/lib.sh
need "agentd is installed" /agentd/boot/install.sh
useradd --system keeper
store=/etc/credstore.encrypted keys=/var/lib/agentd/keys
cat >/etc/systemd/system/kept.service <<'U'
[Unit]
Wants=agentd-credentials.service
After=agentd-credentials.service
StartLimitIntervalSec=0
[Service]
Type=notify
User=keeper
StateDirectory=agentd
StateDirectoryMode=0711
LoadCredentialEncrypted=agentd.kek
LoadCredentialEncrypted=agentd.kek.previous
ExecStart=/usr/bin/agentd --state /var/lib/agentd
U
systemctl daemon-reload
begins() { sed -n 1p "$keys/${1:-log}"; }
serves() { systemctl restart kept.service && verified; }
said() { journalctl -u kept.service -o cat -n 5; }

check "the oneshot verifies" systemd-analyze verify /usr/lib/systemd/system/agentd-credentials.service
systemctl mask --quiet --runtime agentd-credentials.service
need "a service starts where there is no credential" systemctl start kept.service
says "with plain keys" "OPENSSH PRIVATE KEY" begins
systemctl unmask --quiet --runtime agentd-credentials.service

check "with the oneshot it starts as well, and its ledger verifies" serves
check "the oneshot has run" active agentd-credentials.service
equal "the credential is root's" "600 root" "$(stat -c '%a %U' $store/agentd.kek)"
refute "and encrypted" grep -qE '[0-9a-f]{64}' "$store/agentd.kek"
for key in authority issuer log; do says "$key is encrypted" "agentd-sealed 1 kek=" begins $key; done
refute "nothing of a plain key is left" grep -rq "PRIVATE KEY" "$keys"
refute "nobody else reads the credential" as_user alice cat /run/credentials/kept.service/agentd.kek
first=$(begins)
made=$(sha256sum $store/agentd.kek)
check "provisioning again" agentd credentials provision
equal "changes nothing" "$made" "$(sha256sum $store/agentd.kek)"
refute "an ordinary user may not" as_user alice agentd credentials rotate

check "root rotates" agentd credentials rotate
says "once, until all is under the new key" "systemctl restart agentd" agentd credentials rotate
equal "what is there is still under the old one" "$first" "$(begins)"
check "the service starts anew, and its ledger verifies" serves
refute "under the new one" [ "$(begins)" = "$first" ]
second=$(begins)
check "the previous one may go" rm $store/agentd.kek.previous
check "as all is under the new one" serves

cp -a $store /root/store
check "rotated once more" agentd credentials rotate
cp $store/agentd.kek /root/third
cp /root/store/agentd.kek $store/agentd.kek
rm $store/agentd.kek.previous
check "the old key alone opens what was not encrypted anew" serves
cp /root/third $store/agentd.kek
refute "the new key alone does not" systemctl restart kept.service
says "which is said with the credential's name" "the credential agentd.kek is" said
equal "and no key is made in its place" "$second" "$(begins)"
rm $store/agentd.kek
systemctl reset-failed kept.service
refute "without any it does not start" systemctl restart kept.service
says "which is said too" "the credential agentd.kek is not there" said
systemctl stop agentd-credentials.service
refute "and no other is made" systemctl start agentd-credentials.service
refute "where it is missing" test -e $store/agentd.kek
cp /root/store/agentd.kek $store/agentd.kek
systemctl reset-failed kept.service agentd-credentials.service
check "brought back, it starts" serves
end
