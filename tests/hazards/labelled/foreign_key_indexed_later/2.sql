create index concurrently payments_account on payments (account_id);
