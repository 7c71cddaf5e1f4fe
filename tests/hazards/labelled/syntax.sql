alter table guests add colum x int;
