alter table invoices alter column total type numeric(12,4);
