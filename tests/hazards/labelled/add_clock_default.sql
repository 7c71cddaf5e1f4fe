alter table guests add column touched timestamptz default clock_timestamp();
