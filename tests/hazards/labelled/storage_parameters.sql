alter table bookings set (autovacuum_vacuum_scale_factor = 0.01, fillfactor = 90);
