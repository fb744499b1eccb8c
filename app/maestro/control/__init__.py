"""Control turns reports into plans and plans into runs: the campaign loop, the patcher, the rules, the ledger."""
