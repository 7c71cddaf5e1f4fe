drop type booking_status cascade;
