cluster bookings using bookings_pkey;
