alter sequence bookings_number_seq restart with 1;
