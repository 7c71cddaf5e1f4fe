reindex table bookings;
