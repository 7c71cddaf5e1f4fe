alter table guests rename column phone to telephone;
