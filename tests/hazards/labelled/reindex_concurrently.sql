reindex table concurrently bookings;
