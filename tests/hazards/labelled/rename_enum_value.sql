alter type booking_status rename value 'cancelled' to 'canceled';
